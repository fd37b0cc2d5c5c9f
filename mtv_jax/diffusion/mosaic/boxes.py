"""Boxes: fractions of the frame (left, top, right, bottom), their layouts, and the cells of a grid that they cover."""

import itertools
import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.mosaic.options import Kernel, check_box
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Bool, Float, Int

_ROUNDING = 1e-4
"""Cells that a side may lie below a whole number and still count as it: float32 is not exact."""


def check_keyframes(keyframes: Sequence[tuple[float, Sequence[float]]]) -> None:
    """Raises UserError for boxes `(time, box)` as `check_box`, and unless there are some, at rising times from 0 on."""
    times = [time for time, _ in keyframes]
    rising = all(before < after for before, after in itertools.pairwise(times))
    if not times or not rising or not all(0 <= time < math.inf for time in times):
        raise UserError(
            f"boxes at the times {times}: give at least one, at rising times that are not below 0"
        )
    for _, box in keyframes:
        check_box(box)


def boxes_of_frames(
    keyframes: Sequence[tuple[float, Sequence[float]]], times: Float[np.ndarray, "f"]
) -> Float[np.ndarray, "f 4"]:
    """The box of each frame, float32, on straight lines between keyframes `(time, box)`.

    `times` are those of the frames, in the unit of the keyframes'. A box stands still before the first keyframe and
    after the last. Raises UserError as `check_keyframes`.
    """
    check_keyframes(keyframes)
    sides = np.asarray([box for _, box in keyframes], np.float64)
    known = [time for time, _ in keyframes]
    return np.stack([np.interp(times, known, side) for side in sides.T], 1).astype(np.float32)


def inside(
    boxes: Float[Array, "*n 4"], grid: tuple[int, int], margin: float
) -> Bool[Array, "*n rows columns"]:
    """Whether cells of a grid (rows, columns) are in the boxes, rounded as `_spans`."""
    rows, columns = (
        (place >= 0) & (place < count[..., None]) for place, count in _spans(boxes, grid, margin)
    )
    return rows[..., :, None] & columns[..., None, :]


def gaussians(
    boxes: Float[Array, "*n 4"], grid: tuple[int, int], margin: float, kernel: Kernel
) -> Float[Array, "*n rows columns"]:
    """Gaussians in the boxes, rounded as `_spans`: peak 1, standard deviations a third of the sides, 0 outside."""
    rows, columns = (_profile(place, count, kernel) for place, count in _spans(boxes, grid, margin))
    return rows[..., :, None] * columns[..., None, :]


def distances(boxes: Float[Array, "*n 4"], grid: tuple[int, int]) -> Float[Array, "*n rows columns"]:
    """From the centres of cells to the boxes, unrounded, in cells; 0 inside."""
    rows, columns = (
        jnp.maximum(jnp.maximum(low - centres, centres - high), 0)
        for low, high, centres in (
            (*_sides(boxes, axis, size), jnp.arange(size) + 0.5) for axis, size in enumerate(grid)
        )
    )
    return jnp.hypot(rows[..., :, None], columns[..., None, :])


def _sides(boxes: Array, axis: int, size: int) -> tuple[Array, Array]:
    """Low and high side `[... 1]` along the rows (axis 0) or columns (1), in cells."""
    low, high = (0, 2) if axis else (1, 3)
    return boxes[..., low : low + 1] * size, boxes[..., high : high + 1] * size


def _spans(
    boxes: Array, grid: tuple[int, int], margin: float
) -> list[tuple[Int[Array, "*n size"], Int[Array, "*n"]]]:
    """Of rows and of columns: the place of each cell after a box's first one, and how many cells the box has.

    A box is shrunk by `margin` (a fraction of the frame) on each side, and rounded down to whole cells, as the released
    code does: [int((low + margin) size), int((high - margin) size)); but it keeps at least one.
    """
    spans = []
    for axis, size in enumerate(grid):
        low, high = _sides(boxes, axis, size)
        first = jnp.floor(low + margin * size + _ROUNDING).astype(jnp.int32)
        first = jnp.minimum(first, size - 1)
        end = jnp.floor(high - margin * size + _ROUNDING).astype(jnp.int32)
        spans.append((jnp.arange(size) - first, jnp.maximum(end - first, 1)[..., 0]))
    return spans


def _profile(
    place: Int[Array, "*n size"], count: Int[Array, "*n"], kernel: Kernel
) -> Float[Array, "*n size"]:
    """The Gaussian along one axis."""
    count = count[..., None]
    if kernel == "centred":
        from_centre = place + 0.5 - count / 2
    else:
        from_centre = place * count / jnp.maximum(count - 1, 1) - count // 2
    values = jnp.exp(-0.5 * (from_centre / (count / 3)) ** 2)
    values = jnp.where((place >= 0) & (place < count), values, 0.0)
    return values / values.max(-1, keepdims=True)
