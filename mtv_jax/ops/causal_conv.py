"""Convolution over video that never looks ahead in time, written the way each backend runs it fastest."""

import jax
import jax.numpy as jnp
from jax import lax

from mtv_jax.typing import Array, Float

_FEW_CHANNELS = 16


def conv2d(
    x: Float[Array, "b F H W c"],
    kernel: Float[Array, "kh kw c d"],
    *,
    stride: int = 1,
    padding: tuple[int, int] = (1, 1),
) -> Float[Array, "b F H2 W2 d"]:
    """2D convolution of every frame; `padding` zeros go before and after each spatial axis.

    Products of bfloat16 are summed and returned in float32.
    """
    frames = x.reshape(-1, *x.shape[2:])
    y = lax.conv_general_dilated(
        frames,
        kernel,
        (stride, stride),
        (padding, padding),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=jnp.float32,
    )
    return y.reshape(*x.shape[:2], *y.shape[1:])


def causal_conv3d(
    x: Float[Array, "b F H W c"],
    kernel: Float[Array, "kt kh kw c d"],
    cache: Float[Array, "b P H W c"] | None = None,
) -> tuple[Float[Array, "b F H W d"], Float[Array, "b P H W c"]]:
    """3D convolution, causal in time: output frame i sees input frames i - P to i, P = kt - 1.

    In front of `x` goes `cache`, the P frames before it, or its first frame repeated; zeros go around in
    space (odd kernels). Returns the output, summed in float32, and the cache for the frames that follow `x`.
    Source: diffusers CogVideoXCausalConv3d.
    """
    past = kernel.shape[0] - 1
    if cache is None:
        cache = jnp.repeat(x[:, :1], past, axis=1)
    x = jnp.concatenate([cache.astype(x.dtype), x], axis=1)
    return _conv3d(x, kernel), x[:, x.shape[1] - past :]


def _conv3d(x: Array, kernel: Array) -> Array:
    """3D convolution without padding in time.

    XLA's 3D convolution on a CPU takes 3 to 4 times as long, forward and backward, as the same sum over
    time taps of 2D convolutions; with few channels one 2D convolution over all taps is faster still, but
    holds its input once a tap.
    """
    taps, height, width = kernel.shape[:3]
    padding = (height // 2, width // 2)
    if jax.default_backend() != "cpu":
        space = [(p, p) for p in padding]
        return lax.conv_general_dilated(
            x,
            kernel,
            (1, 1, 1),
            [(0, 0), *space],
            dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
            preferred_element_type=jnp.float32,
        )
    frames = x.shape[1] - taps + 1
    windows = [x[:, t : t + frames] for t in range(taps)]
    if x.shape[-1] <= _FEW_CHANNELS:
        return conv2d(jnp.concatenate(windows, -1), jnp.concatenate(list(kernel), -2), padding=padding)
    parts = [conv2d(window, tap, padding=padding) for window, tap in zip(windows, kernel, strict=True)]
    return sum(parts[1:], start=parts[0])
