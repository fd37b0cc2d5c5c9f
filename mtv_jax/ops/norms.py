"""Normalisation computed in float32 for inputs of any dtype."""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from mtv_jax.typing import Array, Float


def group_norm(
    x: Float[Array, "b *space c"],
    scale: Float[Array, "c"],
    bias: Float[Array, "c"],
    *,
    groups: int,
    eps: float,
) -> Float[Array, "b *space c"]:
    """Group norm over all axes but the first, with `groups` groups of adjacent channels. Returns float32.

    Raises ValueError if the number of channels is not divisible by `groups`.
    """
    batch, channels = x.shape[0], x.shape[-1]
    if channels % groups:
        raise ValueError(f"{channels} channels do not divide into {groups} groups")
    x = x.astype(jnp.float32)
    space = tuple(range(1, x.ndim - 1))

    def group_mean(values: Array) -> Array:
        """Mean of each group, broadcast to its channels: [b, 1 ..., c]."""
        means = values.mean(space).reshape(batch, groups, -1).mean(-1, keepdims=True)
        means = jnp.broadcast_to(means, (batch, groups, channels // groups))
        return means.reshape(batch, *(1 for _ in space), channels)

    mean = group_mean(x)
    gain = lax.rsqrt(group_mean(jnp.square(x - mean)) + eps) * scale.astype(jnp.float32)
    # The barrier makes XLA recompute x - mean: stored, it would be as large as x.
    x, gain = lax.optimization_barrier((x, gain))
    return (x - mean) * gain + bias.astype(jnp.float32)


class GroupNorm(nn.Module):
    """`group_norm` with its scale and bias as parameters, in float32 inside and out."""

    groups: int
    eps: float = 1e-6

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b *space c"]:
        """Statistics over all axes but the first, and the channels of a group."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        return group_norm(x, scale, bias, groups=self.groups, eps=self.eps)


class FixedBatchNorm(nn.Module):
    """Batch normalisation with the statistics of its training, which are parameters.

    Attributes:
      epsilon: added to the variance.
      use_scale: whether there is a gain for each channel.
    """

    epsilon: float
    use_scale: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "... c"]) -> Float[Array, "... c"]:
        """Normalised and scaled, in float32."""
        ones, zeros, shape = nn.initializers.ones, nn.initializers.zeros, x.shape[-1:]
        mean, variance = self.param("mean", zeros, shape), self.param("var", ones, shape)
        factor = lax.rsqrt(variance + self.epsilon)
        if self.use_scale:
            factor = self.param("scale", ones, shape) * factor
        return x * factor + (self.param("bias", zeros, shape) - mean * factor)
