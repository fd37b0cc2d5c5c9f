"""Cosines of features."""

import numpy as np
from jaxtyping import Float

from mtv_jax.io.errors import UserError


def cosines(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n"]:
    """The cosine of every row of `a` with that of `b`, -1 to 1, float64.

    Raises UserError for features that are not finite, or have no direction.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if not np.all(np.isfinite(lengths)):
        raise UserError("features: not all are finite; the network's weights or the video are damaged")
    if np.any(lengths == 0):
        raise UserError("features: some are all zeros, so they have no direction to compare")
    return np.clip((a * b).sum(1) / lengths, -1, 1)
