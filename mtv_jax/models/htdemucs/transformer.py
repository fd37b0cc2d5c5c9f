"""The transformer between HTDemucs' encoders and decoders: two branches that attend to themselves and to each other."""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from mtv_jax.models.htdemucs.config import HTDemucsConfig
from mtv_jax.models.htdemucs.layers import group_norm
from mtv_jax.models.wav2vec2.model import FeedForward
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.precision import dense, layer_norm
from mtv_jax.typing import Array, Float

_PERIOD = 10_000.0
_SCALE_INIT = 1e-4


class CrossTransformer(nn.Module):
    """Layers with self-attention (the first, third, ...) and with attention to the other branch (the others)."""

    config: HTDemucsConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b f t d"], xt: Float[Array, "b n d"]
    ) -> tuple[Float[Array, "b f t d"], Float[Array, "b n d"]]:
        """The spectrogram's and the waveform's features."""
        batch, frequencies, frames, width = x.shape
        x = x.swapaxes(1, 2).reshape(batch, -1, width)  # frame by frame
        x = layer_norm(1e-5, "norm_in")(x) + grid_positions(frames, frequencies, width)
        xt = layer_norm(1e-5, "norm_in_t")(xt) + time_positions(xt.shape[1], width)
        for i in range(self.config.t_layers):
            crosses = i % 2 == 1
            layer, layer_t = (
                TransformerLayer(self.config, crosses, self.dtype, name=f"{name}_{i}")
                for name in ("layers", "layers_t")
            )
            x, xt = layer(x, xt), layer_t(xt, x)
        return x.reshape(batch, frames, frequencies, width).swapaxes(1, 2), xt


class TransformerLayer(nn.Module):
    """Attention and feed-forward with norms before them, scales after them, and a norm over all tokens at the end.

    `norm2` is that of the other branch in a layer that `crosses`, and of the feed-forward in one that does not; they
    are numbered as in the checkpoints.
    """

    config: HTDemucsConfig
    crosses: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], other: Float[Array, "b m d"]) -> Float[Array, "b n d"]:
        """`x` changed by itself, or by `other`."""
        queries = layer_norm(1e-5, "norm1")(x)
        keys = layer_norm(1e-5, "norm2")(other) if self.crosses else queries
        name = "cross_attn" if self.crosses else "self_attn"
        x = x + self._scale("gamma_1") * Attention(self.config.t_heads, self.dtype, name=name)(queries, keys)
        hidden = layer_norm(1e-5, "norm3" if self.crosses else "norm2")(x)
        inner = int(self.config.width * self.config.t_hidden_scale)
        x = x + self._scale("gamma_2") * FeedForward(inner, self.dtype, name="mlp")(hidden)
        return group_norm("norm_out")(x)

    def _scale(self, name: str) -> Any:
        return self.param(name, nn.initializers.constant(_SCALE_INIT), (self.config.width,))


class Attention(nn.Module):
    """Multi-head attention with biases."""

    heads: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], other: Float[Array, "b m d"]) -> Float[Array, "b n d"]:
        """Every token of `x` attends to all of `other`."""
        q, k, v = (
            split_heads(dense(x.shape[-1], self.dtype, name)(source), self.heads).astype(self.dtype)
            for name, source in (("q", x), ("k", other), ("v", other))
        )
        return dense(x.shape[-1], self.dtype, "out")(merge_heads(attention(q, k, v)))


def time_positions(length: int, width: int) -> Float[np.ndarray, "n d"]:
    """Cosines, then sines, of positions times `width / 2` frequencies from 1 to 1 / period."""
    half = width // 2
    periods = np.float32(_PERIOD) ** (np.arange(half, dtype=np.float32) / np.float32(half - 1))
    phase = np.arange(length, dtype=np.float32)[:, None] / periods
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1)


def grid_positions(frames: int, frequencies: int, width: int) -> Float[np.ndarray, "n d"]:
    """Positions of tokens ordered by frame, then frequency: half of the width for each, sines and cosines in turn."""
    half = width // 2
    rates = np.exp(np.arange(0, half, 2, dtype=np.float32) * np.float32(-math.log(_PERIOD) / half))

    def waves(length: int) -> np.ndarray:
        phase = np.arange(length, dtype=np.float32)[:, None] * rates
        return np.stack([np.sin(phase), np.cos(phase)], axis=-1).reshape(length, half)

    shape = (frames, frequencies, half)
    over_time = np.broadcast_to(waves(frames)[:, None], shape)
    over_frequency = np.broadcast_to(waves(frequencies)[None], shape)
    return np.concatenate([over_time, over_frequency], axis=-1).reshape(-1, width)
