"""Moments and averages kept in bfloat16: half the memory, and small updates are not lost (stochastic rounding)."""

import jax
import jax.numpy as jnp
import optax
from jax import lax

from mtv_jax.typing import Array, Float, Key


def stochastic_round(x: Float[Array, "*s"], key: Key[Array, ""]) -> Float[Array, "*s"]:
    """Stochastic rounding of float32 to bfloat16: one of the two nearest values, unbiased in expectation.

    An average with decay .9999 changes by less than half the distance between neighbours, so that rounding to
    nearest would never change it.
    """
    bits = lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32)
    noise = jax.random.bits(key, x.shape, jnp.uint16).astype(jnp.uint32)
    rounded = (bits + noise) & jnp.uint32(0xFFFF0000)
    # Adding would turn an infinity into a NaN.
    rounded = jnp.where(jnp.isfinite(x), rounded, bits)
    return lax.bitcast_convert_type(rounded, jnp.float32).astype(jnp.bfloat16)


def stored_in_bfloat16(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """`inner` with the float arrays of its state in bfloat16 between steps; it computes in float32."""

    def down(state: optax.OptState) -> optax.OptState:
        return jax.tree.map(lambda x: x.astype(jnp.bfloat16) if _is_float(x) else x, state)

    def up(state: optax.OptState) -> optax.OptState:
        return jax.tree.map(lambda x: x.astype(jnp.float32) if _is_float(x) else x, state)

    def init(params: optax.Params) -> optax.OptState:
        return down(inner.init(params))

    def update(updates, state, params=None):
        updates, state = inner.update(updates, up(state), params)
        return updates, down(state)

    return optax.GradientTransformation(init, update)


def _is_float(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)
