"""Position encodings of video tokens: three-dimensional rotary tables and sin-cos embeddings.

Both have the time axis first and treat rows and columns alike. Tables are float32 NumPy constants.
"""

import jax.numpy as jnp
import numpy as np

from mtv_jax.typing import Array, Float

Rope = tuple[Array, Array]
"""Cosines and sines of the video tokens, [n, head_dim / 2]."""


def rope_axis_dims(head_dim: int) -> tuple[int, int, int]:
    """Head dimensions of time, rows and columns: one quarter and twice three eighths (CogVideoX)."""
    return head_dim // 4, head_dim // 8 * 3, head_dim // 8 * 3


def rope_table(
    positions: tuple[np.ndarray, np.ndarray, np.ndarray], axis_dims: tuple[int, int, int], theta: float = 1e4
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines [n, head_dim/2] of the tokens of a grid, ordered time, row, column.

    `positions` holds the coordinates along each axis. Frequencies are theta**(-2i/dim) per axis.
    """
    angles = []
    for axis, (coordinates, dim) in enumerate(zip(positions, axis_dims, strict=True)):
        frequencies = theta ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
        table = np.outer(np.asarray(coordinates, np.float64), frequencies)
        shape = [1, 1, 1, table.shape[-1]]
        shape[axis] = len(coordinates)
        sizes = [len(p) for p in positions]
        angles.append(np.broadcast_to(table.reshape(shape), (*sizes, table.shape[-1])))
    flat = np.concatenate(angles, axis=-1).reshape(-1, sum(axis_dims) // 2)
    return np.cos(flat).astype(np.float32), np.sin(flat).astype(np.float32)


def resized_positions(size: tuple[int, int], trained: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the rows and columns of a grid, mapped onto the training grid.

    The grid is scaled to fit into `trained` (rows, columns), keeping its aspect ratio, and centred there (diffusers
    `get_resize_crop_region_for_grid`), so that no coordinate lies outside of the trained range. For the training grid
    itself the coordinates are 0, 1, 2, ...
    """
    (height, width), (trained_height, trained_width) = size, trained
    if height / width > trained_height / trained_width:
        target = trained_height, round(trained_height / height * width)
    else:
        target = round(trained_width / width * height), trained_width
    rows, columns = (
        _spread(round((whole - part) / 2.0), part, count)
        for whole, part, count in zip(trained, target, size, strict=True)
    )
    return rows, columns


def _spread(start: int, extent: int, count: int) -> np.ndarray:
    """`count` coordinates from `start`. With an offset they do not end one step before start + extent, because
    diffusers scales the end by (count - 1) / count as if the start were 0."""
    return np.linspace(start, (start + extent) * (count - 1) / count, count)


def apply_rope(
    x: Float[Array, "... n h d"], cos: Float[Array, "n e"], sin: Float[Array, "n e"]
) -> Float[Array, "... n h d"]:
    """Rotates the interleaved pairs (x0, x1), (x2, x3) ... of every head, in float32."""
    pairs = x.astype(jnp.float32).reshape(*x.shape[:-1], -1, 2)
    even, odd = pairs[..., 0], pairs[..., 1]
    cos, sin = cos[:, None, :], sin[:, None, :]
    rotated = jnp.stack([even * cos - odd * sin, odd * cos + even * sin], axis=-1)
    return rotated.reshape(x.shape).astype(x.dtype)


def sincos_table(
    grid: tuple[int, int, int], dim: int, spatial_scale: float, temporal_scale: float
) -> np.ndarray:
    """Fixed 3D sin-cos embedding [f*h*w, dim]: a quarter of `dim` for time, the rest for columns, then rows.

    Coordinates are divided by the scales (diffusers `get_3d_sincos_pos_embed`).
    """
    frames, height, width = grid
    spatial, temporal = dim // 4 * 3, dim // 4
    columns = _sincos(np.arange(width) / spatial_scale, spatial // 2)
    rows = _sincos(np.arange(height) / spatial_scale, spatial // 2)
    times = _sincos(np.arange(frames) / temporal_scale, temporal)
    full = (frames, height, width)
    table = np.concatenate(
        [
            np.broadcast_to(times[:, None, None], (*full, temporal)),
            np.broadcast_to(columns[None, None, :], (*full, spatial // 2)),
            np.broadcast_to(rows[None, :, None], (*full, spatial // 2)),
        ],
        axis=-1,
    )
    return table.reshape(-1, dim).astype(np.float32)


def _sincos(positions: np.ndarray, dim: int) -> np.ndarray:
    frequencies = 1e4 ** (-np.arange(dim // 2, dtype=np.float64) / (dim / 2))
    angles = np.outer(positions, frequencies)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
