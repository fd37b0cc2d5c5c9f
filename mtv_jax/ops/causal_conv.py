"""Convolution over video that is causal in time, with an implementation for each backend."""

import jax.numpy as jnp
from jax import lax

from mtv_jax.ops.block_conv import block_conv3d, frame_conv
from mtv_jax.ops.mesh import platform
from mtv_jax.typing import Array, Float


def conv2d(
    x: Float[Array, "b F H W c"],
    kernel: Float[Array, "kh kw c d"],
    *,
    stride: int = 1,
    padding: tuple[int, int] = (1, 1),
) -> Float[Array, "b F H2 W2 d"]:
    """2D convolution of every frame, with `padding` zeros before and after each spatial axis.

    Products of bfloat16 are accumulated and returned in float32.
    """
    keeps_size = stride == 1 and all(padding == (size // 2, size // 2) for size in kernel.shape[:2])
    if keeps_size and platform() == "cpu":
        return block_conv3d(x, kernel[None])
    return frame_conv(x, kernel, stride, [padding, padding])


def causal_conv3d(
    x: Float[Array, "b F H W c"],
    kernel: Float[Array, "kt kh kw c d"],
    cache: Float[Array, "b P H W c"] | None = None,
) -> tuple[Float[Array, "b F H W d"], Float[Array, "b P H W c"]]:
    """3D convolution, causal in time: output frame i depends on input frames i - P to i, P = kt - 1.

    `x` is preceded by `cache`, the P frames before it, or else by copies of its first frame; it is padded with zeros in
    space (odd kernels). Returns the output, accumulated in float32, and the cache for the frames that follow `x`.
    Source: diffusers CogVideoXCausalConv3d.
    """
    past = kernel.shape[0] - 1
    x = lax.optimization_barrier(x)
    if cache is None and x.shape[1] == 1:
        # All taps in time read the same frame, so summing the taps first takes a third of the work.
        taps = kernel.sum(0, keepdims=True, dtype=jnp.float32).astype(kernel.dtype)
        return _conv3d(x, taps), jnp.repeat(x, past, axis=1)
    if cache is None:
        cache = jnp.repeat(x[:, :1], past, axis=1)
    # The barrier keeps XLA from recomputing the new cache while the old one is in use, so that it can reuse the
    # old one's memory.
    x = lax.optimization_barrier(jnp.concatenate([cache.astype(x.dtype), x], axis=1))
    return _conv3d(x, kernel), x[:, x.shape[1] - past :]


def _conv3d(x: Array, kernel: Array) -> Array:
    """3D convolution without padding in time."""
    if platform() == "cpu":
        return block_conv3d(x, kernel)
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1, 1),
        [(0, 0), *((size // 2, size // 2) for size in kernel.shape[1:3])],
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
        preferred_element_type=jnp.float32,
    )
