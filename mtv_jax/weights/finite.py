"""Weights without NaN and infinity: what has one gives black videos, long after."""

import ml_dtypes
import numpy as np

from mtv_jax.io.errors import UserError


def check_finite(array: np.ndarray, name: str) -> None:
    """Raises UserError, naming `name`, if a tensor of any type holds NaN or infinity."""
    if _is_finite(array):
        return
    count = int((~np.isfinite(array)).sum())
    raise UserError(f"{name}: {count} of {array.size} numbers are NaN or infinite")


def _is_finite(array: np.ndarray) -> bool:
    if array.dtype in (np.float32, np.float64):
        # A sum takes a tenth of the time, and shows both; one of large numbers may be infinite without them.
        with np.errstate(all="ignore"):
            if np.isfinite(array.sum()):
                return True
    elif array.dtype not in (np.float16, ml_dtypes.bfloat16):
        return True
    return bool(np.isfinite(array).all())
