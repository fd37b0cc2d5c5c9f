"""What FVD's I3D takes: frames stretched to 224 x 224, in -1 to 1."""

import numpy as np
from jaxtyping import Float, UInt8

from mtv_jax.models.i3d.model import SIZE


def i3d_input(frames: UInt8[np.ndarray, "f h w 3"]) -> Float[np.ndarray, "f 224 224 3"]:
    """Frames as the reference implementation of FVD prepares them.

    They are stretched to 224 x 224 by `resize_bilinear`, without crop, and scaled from 0..255 to -1..1.
    """
    return 2 * resize_bilinear(frames, SIZE, SIZE) / 255 - 1


def resize_bilinear(
    frames: UInt8[np.ndarray, "f h w c"], height: int, width: int
) -> Float[np.ndarray, "f v u c"]:
    """Resizes as `tf.compat.v1.image.resize_bilinear` does by default, float32.

    Pixel i of the result is at i * (old size / new size) of the picture: pixels are aligned at their upper left
    corners, not at their centres, and a picture that is made smaller is not smoothed.
    """
    low, high, share = _positions(frames.shape[1], height)
    rows = _between(frames[:, low], frames[:, high], share[:, None, None])
    low, high, share = _positions(frames.shape[2], width)
    return _between(rows[:, :, low], rows[:, :, high], share[:, None])


def _positions(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel of the result, those before and after it, and its distance from the one before."""
    places = np.arange(new, dtype=np.float32) * np.float32(old / new)
    low = np.minimum(places.astype(np.int64), old - 1)
    return low, np.minimum(low + 1, old - 1), places - low.astype(np.float32)


def _between(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    low = low.astype(np.float32)
    return low + (high.astype(np.float32) - low) * share
