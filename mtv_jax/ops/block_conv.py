"""Convolutions written as a CPU runs them fastest.

3D ones go block by block: what lies between their steps stays small, in cache and in memory.

In bfloat16 a block is a few rows, and products of matrices take the place of a convolution: XLA on a CPU
widens bfloat16 convolutions to float32, but multiplies bfloat16 matrices by the processor's own instructions,
twice as fast. In float32 a block is a frame, and a sum over time taps of 2D convolutions takes the place of
XLA's 3D one, which takes 3 to 4 times as long.
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
"""Output cells a block in bfloat16, if a row is not longer; half and twice as many are up to 10 % slower."""
_LARGE_FRAME = 2**21
"""Numbers in a frame of the output from which float32 goes frame by frame; below, kernels cost more to read."""
_FEW_CHANNELS = 16


@jax.custom_vjp
def block_conv3d(
    x: Float[Array, "b F H W c"], kernel: Float[Array, "kt kh kw c d"]
) -> Float[Array, "b F2 H W d"]:
    """3D convolution without padding in time (F2 = F - kt + 1), zeros around in space (odd kernels).

    Returns sums in float32. The gradient is that of `time_taps`: the loops would keep their blocks for it.
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
    """The same as a sum over time taps of 2D convolutions, all frames at once.

    With few channels one 2D convolution over all taps is faster still, but holds its input once a tap.
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
    """1D convolution with a float32 result, in the form that `flax.linen.Conv` calls.

    In bfloat16 on a CPU one product of the windows, laid side by side, takes the place of XLA's convolution.
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
    """Rows are laid side by side, once a tap in time and height, and multiplied by the kernels of all taps
    along the width at once; the results of those are added, each shifted by its place."""
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
    """The most rows that divide the height and stay within `_BLOCK_CELLS`, at least one."""
    most = max(_BLOCK_CELLS // width, 1)
    return next(rows for rows in range(min(most, height), 0, -1) if height % rows == 0)


def _blocks(x: Array, kernel: Array, rows: int, block: Callable[[Array], Array], *, pad: bool) -> Array:
    """Runs `block` for every output frame and `rows` of it, on the frames and rows of `x` that it reads.

    With `pad` zeros go around `x` in space first, and blocks get the rows and columns of that margin too.
    """
    taps, high, wide, _, outputs = kernel.shape
    batch, frames, height, width = x.shape[0], x.shape[1] - taps + 1, *x.shape[2:4]
    # All of it is overwritten; a value of the newest frame keeps XLA from making it before there is one.
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
