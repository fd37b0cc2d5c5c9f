"""The layers of a Swin transformer (Liu et al., 2021): attention within windows, shifted in every second layer."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from mtv_jax.models.clip.transformer import FeedForward
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.precision import dense, layer_norm
from mtv_jax.typing import Array, Float

EPSILON = 1e-5
"""Of the layer norms outside of layers."""


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias for each distance of two positions."""

    heads: int
    window: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "w n d"], mask: Array | None) -> Float[Array, "w n d"]:
        """`x` are windows of n = window^2 positions; `mask` (true = attend) broadcasts to `w h n n`."""
        q, k, v = (
            split_heads(dense(x.shape[-1], self.dtype, name)(x), self.heads).astype(self.dtype)
            for name in "qkv"
        )
        distances = (2 * self.window - 1) ** 2
        table = self.param("relative_bias", nn.initializers.normal(0.02), (distances, self.heads))
        bias = jnp.moveaxis(table[relative_positions(self.window)], -1, 0)[None]
        out = merge_heads(attention(q, k, v, mask=mask, bias=bias))
        return dense(x.shape[-1], self.dtype, "out")(out)


class SwinLayer(nn.Module):
    """Window attention and feed-forward, each after a norm and added to its input.

    `shift` moves the picture up and to the left before it is cut into windows.
    """

    heads: int
    window: int
    shift: int
    mlp_ratio: float
    epsilon: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w d"]) -> Float[Array, "b h w d"]:
        """The picture's sides must be divisible by the window's."""
        x = x + self._attend(layer_norm(self.epsilon, "attention_norm")(x))
        normed = layer_norm(self.epsilon, "mlp_norm")(x)
        flat = normed.reshape(len(x), -1, x.shape[-1])
        inner = int(self.mlp_ratio * x.shape[-1])
        return x + FeedForward(inner, "gelu", self.dtype, name="mlp")(flat).reshape(x.shape)

    def _attend(self, x: Array) -> Array:
        batch, height, width, _ = x.shape
        mask = None
        if self.shift:
            x = jnp.roll(x, (-self.shift, -self.shift), (1, 2))
            together = shift_mask(height, width, self.window, self.shift)
            mask = jnp.tile(together, (batch, 1, 1))[:, None]
        windows = WindowAttention(self.heads, self.window, self.dtype, name="attention")(
            to_windows(x, self.window), mask
        )
        x = from_windows(windows, height, width)
        return jnp.roll(x, (self.shift, self.shift), (1, 2)) if self.shift else x


class PatchMerging(nn.Module):
    """Joins four neighbours into one patch of twice the width."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w d"]) -> Float[Array, "b h/2 w/2 2*d"]:
        """Neighbours in the order upper left, lower left, upper right, lower right."""
        corners = [x[:, row::2, column::2] for column in range(2) for row in range(2)]
        joined = layer_norm(EPSILON, "norm")(jnp.concatenate(corners, -1))
        return dense(2 * x.shape[-1], self.dtype, "reduction", use_bias=False)(joined)


class Stage(nn.Module):
    """Layers of one width; windows are shifted by half their side in every second layer, if there are several."""

    depth: int
    heads: int
    window: int
    mlp_ratio: float
    epsilon: float
    merges: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w d"]) -> Float[Array, "b h2 w2 d2"]:
        """The picture, of half the sides and twice the width if the stage `merges`."""
        shift = self.window // 2 if min(x.shape[1:3]) > self.window else 0
        for i in range(self.depth):
            x = SwinLayer(
                self.heads,
                self.window,
                shift if i % 2 else 0,
                self.mlp_ratio,
                self.epsilon,
                self.dtype,
                name=f"layer_{i}",
            )(x)
        return PatchMerging(self.dtype, name="merging")(x) if self.merges else x


def to_windows(x: Any, window: int) -> Any:
    """A picture [b, h, w, d] as windows [b * windows, window^2, d], row by row."""
    batch, height, width, features = x.shape
    x = x.reshape(batch, height // window, window, width // window, window, features)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, window**2, features)


def from_windows(windows: Array, height: int, width: int) -> Array:
    """The inverse of `to_windows`."""
    side, features = round(windows.shape[1] ** 0.5), windows.shape[-1]
    x = windows.reshape(-1, height // side, width // side, side, side, features)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, height, width, features)


def relative_positions(window: int) -> Int[np.ndarray, "n n"]:
    """The row of the table of biases for each pair of positions of a window."""
    rows, columns = np.divmod(np.arange(window**2), window)
    down = rows[:, None] - rows[None] + window - 1
    right = columns[:, None] - columns[None] + window - 1
    return down * (2 * window - 1) + right


def shift_mask(height: int, width: int, window: int, shift: int) -> Bool[np.ndarray, "windows n n"]:
    """Which pairs of positions of each window are neighbours in the picture too, which was rolled by `shift`."""

    def parts(size: int) -> np.ndarray:
        places = np.arange(size)
        return (places >= size - window).astype(int) + (places >= size - shift)

    regions = 3 * parts(height)[:, None] + parts(width)
    windows = to_windows(regions[None, ..., None], window)[..., 0]
    return windows[:, :, None] == windows[:, None]
