"""Random keys from seeds of up to 64 bits."""

from typing import Any

import jax

from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Key

SEEDS = 2**64
"""Exclusive upper bound of seeds."""

_HALF = 2**32


def check_seed(seed: Any, name: str = "seed") -> int:
    """Returns `seed` as an int. Raises UserError, naming it, unless it is an integer from 0 to 2**64 - 1."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise UserError(f"{name} {seed!r}: must be a whole number")
    number = seed.__index__()
    if not 0 <= number < SEEDS:
        shown = str(number) if abs(number) < 10**30 else "of more than 30 digits"
        raise UserError(f"{name} {shown}: must be from 0 to 2**64 - 1")
    return number


def seed_key(seed: Any, impl: Any = None) -> Key[Array, ""]:
    """The random key of a seed; distinct seeds have distinct keys.

    `jax.random.key` uses only the low 32 bits of a seed, unless JAX runs in 64-bit mode, so that 2**32 would equal 0.
    Here non-zero high bits are folded in; seeds below 2**32 have the same keys as in `jax.random.key`.
    """
    high, low = divmod(check_seed(seed), _HALF)
    key = jax.random.key(low, impl=impl)
    return jax.random.fold_in(key, high) if high else key
