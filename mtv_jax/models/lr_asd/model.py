"""LR-ASD (Liao et al., "LR-ASD: lightweight and robust network for active speaker detection", 2025), for inference.

The layers are those of Junhua-Liao/LR-ASD. Batch normalisation uses fixed statistics, which are parameters. Tracks of
different lengths make a batch: the frames after the end of a track count as the zeros with which convolutions are
padded, so a track's scores are those that it has alone.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.models.lr_asd.config import LRASDConfig
from mtv_jax.ops.norms import FixedBatchNorm
from mtv_jax.ops.precision import convolution, dense, dot_float32
from mtv_jax.typing import Array, Float, Int

CEPSTRA = 13
"""Of a frame of sound."""
SOUND_FRAMES = 4
"""Frames of sound (10 ms) in a frame of pictures (40 ms)."""
_KERNELS = (5, 3)
"""Of the two convolutions over space or cepstra, and of the two over time, of each block."""
_EPSILON = 1e-3
_MEAN, _DEVIATION = 0.4161, 0.1688
"""Of the pictures of the training, in 0 to 1."""
_NONE, _ONE = (0, 0), (1, 1)
_CONTRACT = (((1,), (0,)), ((), ()))


class Block(nn.Module):
    """Two convolutions over the axes `across`, then two over the axis `time`, each with normalisation and ReLU."""

    width: int
    across: tuple[int, ...]
    time: int
    stride: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b ... c"], mask: Float[Array, "b ..."]) -> Float[Array, "b ... d"]:
        """Features; 0 where the mask is 0. Axes are counted without the batch's; the first of `across` is strided."""
        for number, kernel in enumerate(_KERNELS):
            width = self.width // 2 if number == 0 else self.width
            stride = self.stride if number == 0 else 1
            x = self._layer(x, mask, width, self.across, kernel, stride, f"across_{number + 1}")
        for number, kernel in enumerate(_KERNELS):
            x = self._layer(x, mask, self.width, (self.time,), kernel, 1, f"time_{number + 1}")
        return x

    def _layer(
        self, x: Array, mask: Array, width: int, axes: tuple[int, ...], kernel: int, stride: int, name: str
    ) -> Array:
        space = range(x.ndim - 2)
        conv = nn.Conv(
            width,
            [kernel if axis in axes else 1 for axis in space],
            [stride if axis in axes else 1 for axis in space],
            padding=[(kernel // 2, kernel // 2) if axis in axes else (0, 0) for axis in space],
            use_bias=False,
            dtype=self.dtype,
            conv_general_dilated=convolution,
            name=name,
        )
        return nn.relu(FixedBatchNorm(_EPSILON, name=f"{name}_norm")(conv(x))) * mask


class VisualEncoder(nn.Module):
    """Embeds pictures of a face."""

    config: LRASDConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, faces: Float[Array, "b t h w"], mask: Float[Array, "b t"]) -> Float[Array, "b t d"]:
        """Embeddings of grey pictures in 0 to 255."""
        x = ((faces / 255 - _MEAN) / _DEVIATION)[..., None]
        x, mask = x * mask[:, :, None, None, None], mask[:, :, None, None, None]
        for number, width in enumerate(self.config.widths, 1):
            if number > 1:
                x = nn.max_pool(x, (1, 3, 3), (1, 2, 2), padding=[_NONE, _ONE, _ONE])  # pyright: ignore[reportArgumentType]
            stride = 2 if number == 1 else 1
            x = Block(width, (1, 2), 0, stride, self.dtype, name=f"block_{number}")(x, mask)
        return x.max((2, 3))


class AudioEncoder(nn.Module):
    """Embeds sound; a quarter of its frames are left."""

    config: LRASDConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, cepstra: Float[Array, "b s c"], mask: Float[Array, "b t"]) -> Float[Array, "b t d"]:
        """Embeddings of MFCC at 100 Hz, of t = s / 4 frames."""
        x = cepstra.swapaxes(1, 2)[..., None]
        repeats = SOUND_FRAMES
        x = x * jnp.repeat(mask, repeats, axis=1)[:, None, :, None]
        for number, width in enumerate(self.config.widths, 1):
            if number > 1:
                x = nn.max_pool(x, (1, 3), (1, 2), padding=[_NONE, _ONE])  # pyright: ignore[reportArgumentType]
                repeats //= 2
            sounding = jnp.repeat(mask, repeats, axis=1)[:, None, :, None]
            x = Block(width, (0,), 1, 1, self.dtype, name=f"block_{number}")(x, sounding)
        return x.mean(1)


class Gate(nn.Module):
    """Scales features by a gate of 0 to 1 that is computed from them."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t d"]) -> Float[Array, "b t d"]:
        """The features, scaled."""
        weights = nn.Conv(
            x.shape[-1],
            (1,),
            use_bias=False,
            dtype=self.dtype,
            conv_general_dilated=convolution,
            name="attention",
        )(x)
        return x * nn.sigmoid(FixedBatchNorm(_EPSILON, name="norm")(weights))


class GRU(nn.Module):
    """A layer, with torch's gates: reset, update, new, and a bias for each of the two products."""

    width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t c"], mask: Float[Array, "b t"]) -> Float[Array, "b t d"]:
        """The hidden states, which begin with 0, and are 0 where the mask is."""
        projected = dense(3 * self.width, self.dtype, "input")(x)
        shape = (self.width, 3 * self.width)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, shape[1:])

        def step(
            hidden: Float[Array, "b d"], inputs: tuple[Float[Array, "b e"], Float[Array, "b"]]
        ) -> tuple[Float[Array, "b d"], Float[Array, "b d"]]:
            seen, counts = inputs
            known = dot_float32(hidden.astype(self.dtype), kernel, _CONTRACT) + bias
            (reset, update, new), (r, z, n) = jnp.split(seen, 3, -1), jnp.split(known, 3, -1)
            update = nn.sigmoid(update + z)
            new = jnp.tanh(new + nn.sigmoid(reset + r) * n)
            hidden = ((1 - update) * new + update * hidden) * counts[:, None]
            return hidden, hidden

        zeros = jnp.zeros((len(x), self.width), jnp.float32)
        _, states = jax.lax.scan(step, zeros, (projected.swapaxes(0, 1), mask.swapaxes(0, 1)))
        return states.swapaxes(0, 1)


class LRASD(nn.Module):
    """Scores a face for each frame of a track."""

    config: LRASDConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, faces: Float[Array, "b t h w"], cepstra: Float[Array, "b s c"], frames: Int[Array, "b"]
    ) -> Float[Array, "b t 2"]:
        """Logits that the person is silent, and that he speaks.

        Args:
          faces: grey, 0 to 255, at 25 Hz; the released networks take 112 x 112 pixels.
          cepstra: MFCC at 100 Hz, `CEPSTRA` of each of s = 4 t frames.
          frames: of each track; what comes after them counts for nothing.
        """
        mask = (jnp.arange(faces.shape[1]) < frames[:, None]).astype(jnp.float32)
        heard = AudioEncoder(self.config, self.dtype, name="audio")(cepstra, mask)
        seen = VisualEncoder(self.config, self.dtype, name="visual")(faces, mask)
        x = Gate(self.dtype, name="fusion")(jnp.concatenate([heard, seen], -1))
        width = self.config.widths[-1] // 2
        forward = GRU(width, self.dtype, name="forward")(x, mask)
        backward = GRU(width, self.dtype, name="backward")(x[:, ::-1], mask[:, ::-1])[:, ::-1]
        x = Gate(self.dtype, name="detector")(jnp.concatenate([forward, backward], -1))
        return dense(2, self.dtype, "head")(x)
