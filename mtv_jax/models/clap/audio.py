"""CLAP's audio half: HTSAT, from mel spectrograms to one vector."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.models.clap.config import ClapAudioConfig
from mtv_jax.models.clap.swin import EPSILON, Stage
from mtv_jax.ops.norms import FixedBatchNorm
from mtv_jax.ops.precision import convolution, layer_norm
from mtv_jax.typing import Array, Bool, Float

_CUBIC = -0.75
"""Parameter of torch's bicubic interpolation."""


class HTSAT(nn.Module):
    """Mel spectrograms to features. `dtype` is that of the products' inputs; everything else is float32."""

    config: ClapAudioConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, mel: Float[Array, "b v t m"], longer: Bool[Array, "b"]) -> Float[Array, "b d"]:
        """The mean of all patches after the last stage, float32.

        `longer` says of which sounds the crops are heard too; it counts only with `enable_fusion`. Raises UserError
        for spectrograms of another number of views or bands, or of too many frames.
        """
        cfg = self.config
        x = FixedBatchNorm(EPSILON, name="batch_norm")(self._checked(mel))
        x = PatchEmbedding(cfg, self.dtype, name="patches")(to_pictures(x, cfg), longer)
        last = len(cfg.depths) - 1
        for i, (depth, heads) in enumerate(zip(cfg.depths, cfg.num_attention_heads, strict=True)):
            x = Stage(
                depth,
                heads,
                cfg.window_size,
                cfg.mlp_ratio,
                cfg.layer_norm_eps,
                merges=i < last,
                dtype=self.dtype,
                name=f"stage_{i}",
            )(x)
        return layer_norm(EPSILON, "norm")(x).mean((1, 2))

    def _checked(self, mel: Array) -> Array:
        cfg, (_, views, frames, bands) = self.config, mel.shape
        if (views, bands) != (cfg.views, cfg.num_mel_bins) or frames > cfg.max_frames:
            raise UserError(
                f"spectrograms of {views} views, {frames} frames and {bands} bands: this network takes {cfg.views} "
                f"views, at most {cfg.max_frames} frames, and {cfg.num_mel_bins} bands"
            )
        return mel


class PatchEmbedding(nn.Module):
    """Patches of pictures; with fusion, those of a long sound's crops are mixed into those of its whole."""

    config: ClapAudioConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, pictures: Float[Array, "b v s s"], longer: Bool[Array, "b"]
    ) -> Float[Array, "b g g d"]:
        """Normed patches, float32."""
        size = self.config.patch_size
        x = self._patches(pictures[:, 0, ..., None], (size, size), "whole")
        if self.config.enable_fusion:
            fused = Fusion(self.config.aff_block_r, self.dtype, name="fusion")(x, self._crops(pictures, size))
            x = jnp.where(longer[:, None, None, None], fused, x)
        return layer_norm(EPSILON, "norm")(x)

    def _patches(self, x: Array, patch: tuple[int, int], name: str) -> Array:
        width = self.config.patch_embeds_hidden_size
        return _conv(width, patch, self.dtype, name)(x)

    def _crops(self, pictures: Array, size: int) -> Array:
        """Patches of three times the length of the crops, side by side, with zeros for those that are missing."""
        crops = pictures[:, 1:]
        batch, count, side, _ = crops.shape
        x = self._patches(crops.reshape(-1, side, side, 1), (size, 3 * size), "crops")
        x = jnp.moveaxis(x.reshape(batch, count, *x.shape[1:]), 1, 2)
        x = x.reshape(batch, x.shape[1], -1, x.shape[-1])
        return jnp.pad(x, ((0, 0), (0, 0), (0, side // size - x.shape[2]), (0, 0)))


class Fusion(nn.Module):
    """Attentional feature fusion (Dai et al., 2021): a gate between two pictures, of each place and of the whole."""

    reduction: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w d"], other: Float[Array, "b h w d"]) -> Float[Array, "b h w d"]:
        """`2 (x g + other (1 - g))`, where g is the gate."""
        both = x + other
        gate = jax.nn.sigmoid(
            self._gate(both, "local") + self._gate(both.mean((1, 2), keepdims=True), "global")
        )
        return 2 * x * gate + 2 * other * (1 - gate)

    def _gate(self, x: Array, name: str) -> Array:
        width = x.shape[-1]
        x = _conv(width // self.reduction, (1, 1), self.dtype, f"{name}_down")(x)
        x = nn.relu(FixedBatchNorm(EPSILON, name=f"{name}_down_norm")(x))
        x = _conv(width, (1, 1), self.dtype, f"{name}_up")(x)
        return FixedBatchNorm(EPSILON, name=f"{name}_up_norm")(x)


def _conv(features: int, patch: tuple[int, int], dtype: Any, name: str) -> nn.Conv:
    """A convolution with a bias over patches that do not overlap; float32 result."""
    return nn.Conv(features, patch, patch, "VALID", dtype=dtype, conv_general_dilated=convolution, name=name)


def to_pictures(mel: Float[Array, "b v t m"], config: ClapAudioConfig) -> Float[Array, "b v s s"]:
    """Square pictures of spectrograms: stretched in time, cut into parts, which lie above each other."""
    stretched = stretch(mel, config.max_frames)
    batch, views, frames, bands = stretched.shape
    parts = stretched.reshape(batch, views, config.freq_ratio, frames // config.freq_ratio, bands)
    side = config.spec_size
    return jnp.swapaxes(parts, 3, 4).reshape(batch, views, side, side)


def stretch(x: Float[Array, "b v t m"], frames: int) -> Float[Array, "b v {frames} m"]:
    """Bicubic interpolation in time to `frames`, the ends aligned, as torch's `interpolate`."""
    length = x.shape[2]
    if length == frames:
        return x
    # In float32 as in torch: the rounding of a place in a long spectrogram shows in the result.
    places = np.arange(frames, dtype=np.float32) * (np.float32(length - 1) / np.float32(frames - 1))
    first = np.floor(places).astype(int)
    share = places - first
    out = jnp.zeros((), x.dtype)
    for tap in range(-1, 3):
        weights = _cubic(np.abs(share - tap)).astype(np.float32)
        out = out + x[:, :, np.clip(first + tap, 0, length - 1)] * weights[:, None]
    return out


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Weight of a sample by its distance, at most 2 (Keys, 1981)."""
    a, d = _CUBIC, distance
    near = ((a + 2) * d - (a + 3)) * d**2 + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, far)
