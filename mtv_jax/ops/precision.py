"""Layers that mix precision: products of `dtype` inputs, everything between them in float32."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.typing import Array, Float

dot_float32 = functools.partial(jax.lax.dot_general, preferred_element_type=jnp.float32)
convolution = functools.partial(jax.lax.conv_general_dilated, preferred_element_type=jnp.float32)
"""A product and a convolution of inputs of any type with a float32 result."""


def dense(features: int, dtype: Any, name: str | None = None, **options: Any) -> nn.Dense:
    """A linear layer: the product of `dtype` inputs, with a float32 result."""
    return nn.Dense(features, dtype=dtype, dot_general=dot_float32, name=name, **options)


def layer_norm(epsilon: float, name: str | None = None) -> nn.LayerNorm:
    """LayerNorm whose variance is taken about the mean: E[x^2] - E[x]^2 loses digits on large means."""
    return nn.LayerNorm(epsilon=epsilon, dtype=jnp.float32, use_fast_variance=False, name=name)


def modulate(
    x: Float[Array, "... d"],
    shift: Float[Array, "... d"],
    scale: Float[Array, "... d"],
    dtype: Any = jnp.float32,
) -> Float[Array, "... d"]:
    """`x (1 + scale) + shift` of float32 arrays, rounded to `dtype` for the product that follows."""
    return (x * (1 + scale) + shift).astype(dtype)
