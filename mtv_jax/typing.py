"""Array types used in signatures.

Letters: b batch, F pixel frames, f latent frames, H W pixels, h w latent cells, c channels, l text
tokens, n any tokens, d width, M audio intervals (= latent frames), k audio tokens per interval,
s audio samples, W audio window (frames), L audio layers (sub-frames for log-mel).

Modules that take NumPy's arrays alone import the types from jaxtyping instead, which does not import JAX.
"""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Bool, Complex, Float, Int, Key, UInt8

__all__ = [
    "BATCH_AXES",
    "Array",
    "Bool",
    "Complex",
    "Float",
    "Int",
    "Key",
    "Params",
    "UInt8",
]

if TYPE_CHECKING:
    Array = jax.Array
else:
    Array = jax.Array | np.ndarray
    """What functions of jax take: NumPy's arrays are as good as its own. Type and shape are checked in the tests."""

BATCH_AXES = ("data", "fsdp")
"""Axes of a device mesh that batches are split over."""

Params = dict[str, Any]
"""Flax variables: `{"params": nested dict of arrays}`, as `model.apply(params, ...)` takes them."""
