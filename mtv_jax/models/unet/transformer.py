"""The transformers of a UNet: over the cells of each frame, and over the frames at each cell."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.diffusion.mosaic.attention import mosaic_attention
from mtv_jax.diffusion.mosaic.contexts import Contexts
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.mesh import constrain_batch
from mtv_jax.ops.norms import GroupNorm
from mtv_jax.ops.precision import convolution, dense, layer_norm
from mtv_jax.typing import Array, Float

NORM_EPS = 1e-6
"""Of the group norms of transformers; those of residual blocks have another."""


class Attention(nn.Module):
    """Multi-head attention without biases on queries, keys and values."""

    heads: int
    head_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "n t d"],
        contexts: Contexts | None = None,
        grid: tuple[int, int] = (0, 0),
    ) -> Float[Array, "n t d"]:
        """Self-attention, or cross-attention to `contexts` of cells on a `grid` of rows and columns; float32."""
        tokens = x if contexts is None else contexts.tokens.reshape(len(x), *contexts.tokens.shape[2:])
        inner = self.heads * self.head_dim

        def project(name: str, of: Array) -> Array:
            y = nn.Dense(inner, use_bias=False, dtype=self.dtype, name=name)(of)
            return split_heads(y, self.heads)

        q, k, v = project("to_q", x), project("to_k", tokens), project("to_v", tokens)
        out = attention(q, k, v) if contexts is None else mosaic_attention(q, k, v, contexts, grid)
        return dense(x.shape[-1], self.dtype, "to_out")(merge_heads(out))


class FeedForward(nn.Module):
    """Linear, gated by the exact GELU of its second half (GEGLU), Linear."""

    dtype: Any = jnp.float32
    multiplier: int = 4

    @nn.compact
    def __call__(self, x: Float[Array, "n t d"]) -> Float[Array, "n t d"]:
        """Float32."""
        width = x.shape[-1]
        hidden = nn.Dense(2 * self.multiplier * width, dtype=self.dtype, name="up")(x)
        values, gates = jnp.split(hidden, 2, axis=-1)
        return dense(width, self.dtype, "down")(values * nn.gelu(gates, approximate=False))


class TransformerBlock(nn.Module):
    """Pre-norm self-attention, cross-attention (without contexts, a second self-attention) and feed-forward."""

    heads: int
    head_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "n t d"],
        contexts: Contexts | None = None,
        grid: tuple[int, int] = (0, 0),
    ) -> Float[Array, "n t d"]:
        """Arguments as for `Attention`; float32."""

        def attend(name: str, *to: Any) -> Array:
            return Attention(self.heads, self.head_dim, self.dtype, name=name)(*to)

        x = x + attend("attn1", layer_norm(1e-5, "norm1")(x))
        x = x + attend("attn2", layer_norm(1e-5, "norm2")(x), contexts, grid)
        return x + FeedForward(self.dtype, name="ff")(layer_norm(1e-5, "norm3")(x))


class SpatialTransformer(nn.Module):
    """Every frame by itself: attention over its cells, and to the text or the sources' tokens.

    Source: diffusers Transformer2DModel with linear projections, latent-diffusion SpatialTransformer.
    """

    heads: int
    head_dim: int
    layers: int
    groups: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], contexts: Contexts) -> Float[Array, "n h w c"]:
        """`x` plus the transformer's output; float32."""
        n, h, w, c = x.shape
        y = GroupNorm(self.groups, NORM_EPS, name="norm")(x).reshape(n, h * w, c)
        y = dense(self.heads * self.head_dim, self.dtype, "proj_in")(y)
        for i in range(self.layers):
            block = TransformerBlock(self.heads, self.head_dim, self.dtype, name=f"blocks_{i}")
            y = block(y, contexts, (h, w))
        y = dense(c, self.dtype, "proj_out")(y)
        return x + y.reshape(x.shape)


class TemporalTransformer(nn.Module):
    """Every cell by itself: self-attention over all frames of a clip, of any number, without positions.

    `conv` lays the projections' weights out as convolutions of size 1, as the original has it in one place.
    Source: VideoCrafter TemporalTransformer.
    """

    heads: int
    head_dim: int
    groups: int
    conv: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], clips: int) -> Float[Array, "n h w c"]:
        """`x` [clips * frames, ...] plus the transformer's output; float32."""
        n, h, w, c = x.shape
        frames = x.reshape(clips, n // clips, h * w, c)
        y = GroupNorm(self.groups, NORM_EPS, name="norm")(frames)
        y = constrain_batch(jnp.swapaxes(y, 1, 2).reshape(clips * h * w, n // clips, c))
        y = self._projection(self.heads * self.head_dim, "proj_in")(y)
        y = TransformerBlock(self.heads, self.head_dim, self.dtype, name="blocks_0")(y)
        y = self._projection(c, "proj_out")(y)
        y = jnp.swapaxes(y.reshape(clips, h * w, n // clips, c), 1, 2)
        return x + constrain_batch(y.reshape(x.shape))

    def _projection(self, features: int, name: str) -> nn.Module:
        if not self.conv:
            return dense(features, self.dtype, name)
        return nn.Conv(features, (1,), dtype=self.dtype, conv_general_dilated=convolution, name=name)
