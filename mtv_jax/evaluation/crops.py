"""Parts of frames, found in the stage units that plans are told in, whatever the frames' size."""

import numpy as np

from mtv_jax.theatre.paint import Canvas


def crop(frames: np.ndarray, box: tuple[float, ...], size: tuple[int, int]) -> np.ndarray:
    """A box of frames [F H W c], sampled bilinearly at the middles of rows x columns cells.

    The box is (x0, y0, x1, y1) in stage units. Gives float32 [F, rows, columns, c].
    """
    canvas = Canvas(1, *frames.shape[1:3])
    x0, y0, x1, y1 = canvas.to_pixels(np.array(box, np.float64))
    rows = _positions(y0, y1, size[0], frames.shape[1])
    columns = _positions(x0, x1, size[1], frames.shape[2])
    lower = _between(frames.astype(np.float32), rows, axis=1)
    return _between(lower, columns, axis=2)


def _positions(start: float, end: float, count: int, limit: int) -> np.ndarray:
    """Indices, with fractions, of the middles of `count` cells of [start, end) pixels, kept inside."""
    return np.clip(start + (np.arange(count) + 0.5) * (end - start) / count - 0.5, 0, limit - 1)


def _between(x: np.ndarray, positions: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation along an axis."""
    low = np.floor(positions).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    weight = (positions - low).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight
