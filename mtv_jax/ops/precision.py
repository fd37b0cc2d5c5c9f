"""Mixed-precision layers: products take `dtype` inputs, everything between them is float32."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.typing import Array, Float

dot_float32 = functools.partial(jax.lax.dot_general, preferred_element_type=jnp.float32)
convolution = functools.partial(jax.lax.conv_general_dilated, preferred_element_type=jnp.float32)
"""A product and a convolution with a float32 result for inputs of any dtype."""


def dense(features: int, dtype: Any, name: str | None = None, **options: Any) -> nn.Dense:
    """A linear layer with `dtype` inputs and a float32 result."""
    return nn.Dense(features, dtype=dtype, dot_general=dot_float32, name=name, **options)


def layer_norm(epsilon: float, name: str | None = None) -> nn.LayerNorm:
    """LayerNorm with the two-pass variance: E[x^2] - E[x]^2 loses precision for large means."""
    return nn.LayerNorm(epsilon=epsilon, dtype=jnp.float32, use_fast_variance=False, name=name)


def modulate(
    x: Float[Array, "... d"],
    shift: Float[Array, "... d"],
    scale: Float[Array, "... d"],
    dtype: Any = jnp.float32,
) -> Float[Array, "... d"]:
    """`x (1 + scale) + shift` in float32, cast to `dtype` for the next product."""
    return (x * (1 + scale) + shift).astype(dtype)
