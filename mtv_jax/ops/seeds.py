"""Seeds of any size become keys, each its own; what is no seed is refused."""

from typing import Any

import jax

from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Key

SEEDS = 2**64
"""Seeds are from 0 to this, exclusive."""

_HALF = 2**32


def check_seed(seed: Any, name: str = "seed") -> int:
    """`seed` as an int. Raises UserError, naming it, unless it is a whole number from 0 to 2**64 - 1."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise UserError(f"{name} {seed!r}: must be a whole number")
    number = seed.__index__()
    if not 0 <= number < SEEDS:
        shown = str(number) if abs(number) < 10**30 else "of more than 30 digits"
        raise UserError(f"{name} {shown}: must be from 0 to 2**64 - 1")
    return number


def seed_key(seed: Any, impl: Any = None) -> Key[Array, ""]:
    """The random key of a seed; different seeds have different keys.

    `jax.random.key` takes the low 32 bits of a seed alone, unless JAX computes in 64 bits, so that 2**32 would be 0.
    Here the high 32 bits are folded in where there are any: smaller seeds have the keys that they always had.
    """
    high, low = divmod(check_seed(seed), _HALF)
    key = jax.random.key(low, impl=impl)
    return jax.random.fold_in(key, high) if high else key
