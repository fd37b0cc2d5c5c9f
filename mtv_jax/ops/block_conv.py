"""Convolutions optimised for CPUs.

3D convolutions are computed block by block, so that intermediate results stay small, in cache and in memory.

In bfloat16 a block is a few rows, computed by matrix products instead of a convolution: XLA on CPUs widens bfloat16
convolutions to float32, but multiplies bfloat16 matrices with the processor's own instructions, twice as fast. In
float32 a block is a frame, computed as a sum of 2D convolutions over time taps; XLA's 3D convolution takes 3 to 4 times
as long.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from mtv_jax.ops.mesh import platform
from mtv_jax.ops.precision import convolution
from mtv_jax.typing import Array, Float

_BLOCK_CELLS = 512
"""Output cells per block in bfloat16, unless a row is longer; half or twice as many are up to 10 % slower."""
_LARGE_FRAME = 2**21
"""Output elements per frame from which on float32 is computed frame by frame; below, reading the kernels dominates."""
_FEW_CHANNELS = 16


@jax.custom_vjp
def block_conv3d(
    x: Float[Array, "b F H W c"], kernel: Float[Array, "kt kh kw c d"]
) -> Float[Array, "b F2 H W d"]:
    """3D convolution without padding in time (F2 = F - kt + 1) and zero padding in space (odd kernels).

    Returns float32. The gradient is that of `time_taps`, since the loops would store all their blocks for it.
    """
    if x.dtype == jnp.bfloat16:
        return _row_blocks(x, kernel)
    height, width = x.shape[2:4]
    if height * width * kernel.shape[-1] < _LARGE_FRAME:
        return time_taps(x, kernel)
    return _blocks(x, kernel, height, lambda window: time_taps(window[None], kernel)[0, 0], pad=False)


def time_taps(
    x: Float[Array, "b F H W c"], kernel: Float[Array, "kt kh kw c d"]
) -> Float[Array, "b F2 H W d"]:
    """The same convolution as a sum of 2D convolutions over time taps, all frames at once.

    With few channels a single 2D convolution over all taps is faster, but it stores one copy of its input per tap.
    """
    taps = kernel.shape[0]
    frames = x.shape[1] - taps + 1
    windows = [x[:, t : t + frames] for t in range(taps)]
    if x.shape[-1] <= _FEW_CHANNELS:
        return _same_conv(jnp.concatenate(windows, -1), jnp.concatenate(list(kernel), -2))
    parts = [_same_conv(window, tap) for window, tap in zip(windows, kernel, strict=True)]
    return sum(parts[1:], start=parts[0])


def frame_conv(
    x: Float[Array, "b F H W c"],
    kernel: Float[Array, "kh kw c d"],
    stride: int,
    padding: list[tuple[int, int]],
) -> Float[Array, "b F H2 W2 d"]:
    """XLA's 2D convolution of every frame."""
    y = lax.conv_general_dilated(
        x.reshape(-1, *x.shape[2:]),
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=jnp.float32,
    )
    return y.reshape(*x.shape[:2], *y.shape[1:])


def strided_conv1d(
    x: Float[Array, "b n c"],
    kernel: Float[Array, "k c d"],
    window_strides: tuple[int],
    padding: str,
    **options: Any,
) -> Float[Array, "b m d"]:
    """1D convolution with a float32 result, with the signature that `flax.linen.Conv` expects.

    In bfloat16 on CPUs it is computed as one matrix product of the concatenated windows.
    """
    if x.dtype != jnp.bfloat16 or padding != "VALID" or platform() != "cpu":
        return convolution(x, kernel, window_strides, padding, **options)
    taps, (stride,) = kernel.shape[0], window_strides
    last = (x.shape[1] - taps) // stride * stride
    windows = [x[:, tap : tap + last + 1 : stride] for tap in range(taps)]
    matrix = kernel.reshape(-1, kernel.shape[-1])
    return jnp.matmul(jnp.concatenate(windows, -1), matrix, preferred_element_type=jnp.float32)


def _same_conv(x: Array, kernel: Array) -> Array:
    return frame_conv(x, kernel, 1, [(size // 2, size // 2) for size in kernel.shape[:2]])


def _row_blocks(x: Array, kernel: Array) -> Array:
    """Concatenates rows, one copy per tap in time and height, and multiplies them by the kernels of all taps along the
    width at once; the results are shifted by their tap's offset and added."""
    taps, high, wide, _, outputs = kernel.shape
    height, width = x.shape[2:4]
    rows = _rows_of_block(height, width)
    matrix = kernel.transpose(0, 1, 3, 2, 4).reshape(-1, wide * outputs)

    def block(window: Array) -> Array:
        sides = [window[t, i : i + rows] for t in range(taps) for i in range(high)]
        sums = jnp.matmul(jnp.concatenate(sides, -1), matrix, preferred_element_type=jnp.float32)
        sums = sums.reshape(*sums.shape[:-1], wide, outputs)
        return sum((sums[:, j : j + width, j] for j in range(1, wide)), start=sums[:, :width, 0])

    return _blocks(x, kernel, rows, block, pad=True)


def _rows_of_block(height: int, width: int) -> int:
    """The largest number of rows that divides the height and fits into `_BLOCK_CELLS`, at least one."""
    most = max(_BLOCK_CELLS // width, 1)
    return next(rows for rows in range(min(most, height), 0, -1) if height % rows == 0)


def _blocks(x: Array, kernel: Array, rows: int, block: Callable[[Array], Array], *, pad: bool) -> Array:
    """Applies `block` to each group of `rows` of every output frame, given the frames and rows of `x` that it reads.

    With `pad`, `x` is first padded with zeros in space, and blocks include the rows and columns of the margin.
    """
    taps, high, wide, _, outputs = kernel.shape
    batch, frames, height, width = x.shape[0], x.shape[1] - taps + 1, *x.shape[2:4]
    # Overwritten completely; depending on the last frame keeps XLA from allocating it too early.
    out = jnp.full((batch, frames, height, width, outputs), x[0, -1, 0, 0, 0], jnp.float32)
    margin = 0
    if pad:
        margin = high - 1
        x = jnp.pad(x, [(0, 0), (0, 0), (high // 2, high // 2), (wide // 2, wide // 2), (0, 0)])

    def step(index: Array, out: Array) -> Array:
        item, frame, start = jnp.unravel_index(index, (batch, frames, height // rows))
        corner = (item, frame, start * rows, 0, 0)
        window = lax.dynamic_slice(x, corner, (1, taps, rows + margin, *x.shape[3:]))[0]
        return lax.dynamic_update_slice(out, block(window)[None, None], corner)

    return lax.fori_loop(0, batch * frames * (height // rows), step, out)


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return block_conv3d(x, kernel), (x, kernel)


def _backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    return jax.vjp(time_taps, *saved)[1](gradient)


block_conv3d.defvjp(_forward, _backward)
