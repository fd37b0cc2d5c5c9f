"""Which sources a pixel attends to, and how Gaussians pull it to them."""

import jax.numpy as jnp

from mtv_jax.diffusion.mosaic.boxes import distances, gaussians, inside
from mtv_jax.diffusion.mosaic.mosaic import Mosaic
from mtv_jax.diffusion.mosaic.options import Box
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Bool, Float

_SAME_SIZE = 1e-3
"""Relative difference of areas that counts as none."""
_SAME_DISTANCE = 1e-3
"""Difference of distances, in cells, that counts as none."""
_LARGER_THAN_ALL = 2.0
"""The area of a background source, of which a frame has one."""


def sources_in_boxes(mosaic: Mosaic, grid: tuple[int, int]) -> Bool[Array, "b n f rows columns"]:
    """The sources that the cells of a grid attend to in Mosaic Denoising.

    Those of the smallest box that a cell is in; a background source has the whole frame. A cell in no box attends to
    the source of the nearest box, or by option nothing unless its centre is in a box before rounding. Sources of
    equal boxes (or equally near ones of equal size) are attended to together, so that their order means nothing.
    """
    options = mosaic.options
    boxes = _fixed_or_given(mosaic, options.denoise_boxes)
    size = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    background = mosaic.background[:, :, None, None, None]
    active = mosaic.active[:, :, None, None, None]
    size = jnp.where(background, _LARGER_THAN_ALL, size[..., None, None])
    away = jnp.where(background, 0.0, distances(boxes, grid))
    within = active & (background | inside(boxes, grid, options.margin))
    within_reach = _least(active, away) if options.outside == "nearest" else 0.0
    near = active & (away <= within_reach + _SAME_DISTANCE)
    return _smallest(jnp.where(within.any(1, keepdims=True), within, near), size)


def pulls(mosaic: Mosaic, grid: tuple[int, int]) -> Float[Array, "b n f rows columns"]:
    """How the Gaussians pull cells to the sources in Object Locating: a source's own, less those of all others.

    Background sources have no Gaussian, and are neither pulled nor pushed; the same holds for inactive ones.
    """
    options = mosaic.options
    boxes = _fixed_or_given(mosaic, options.locate_boxes)
    own = jnp.where(_drawn(mosaic), gaussians(boxes, grid, options.margin, options.kernel), 0.0)
    return jnp.where(_drawn(mosaic), 2 * own - own.sum(1, keepdims=True), 0.0)


def outside_all(mosaic: Mosaic, grid: tuple[int, int]) -> Bool[Array, "b n f rows columns"]:
    """For sources with boxes: the cells that are in no source's box, in Object Locating."""
    boxes = _fixed_or_given(mosaic, mosaic.options.locate_boxes)
    within = _drawn(mosaic) & inside(boxes, grid, mosaic.options.margin)
    return _drawn(mosaic) & ~within.any(1, keepdims=True)


def _drawn(mosaic: Mosaic) -> Bool[Array, "b n 1 1 1"]:
    return (mosaic.active & ~mosaic.background)[:, :, None, None, None]


def _fixed_or_given(mosaic: Mosaic, fixed: tuple[Box, ...] | None) -> Float[Array, "b n f 4"]:
    if fixed is None:
        return mosaic.boxes
    if len(fixed) != len(mosaic.names):
        raise UserError(f"{len(mosaic.names)} sources: these mosaic options have boxes of {len(fixed)}")
    return jnp.broadcast_to(jnp.asarray(fixed)[:, None], mosaic.boxes.shape)


def _least(candidates: Array, value: Array) -> Array:
    """The lowest value of the candidates of axis 1."""
    return jnp.where(candidates, value, jnp.inf).min(1, keepdims=True)


def _smallest(candidates: Array, size: Array) -> Array:
    """The candidates of axis 1 of the least size, ties included."""
    return candidates & (size <= (1 + _SAME_SIZE) * _least(candidates, size))
