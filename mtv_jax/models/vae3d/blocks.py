"""Parts of the causal 3D autoencoder's encoder and decoder.

`cache` holds, by name, the last input frames of each causal convolution: None for the first chunk of a
video, then what the chunk before returned. `lone_first` says that the chunk's first frame stands alone in
time: it is neither averaged with the next on the way down nor repeated on the way up.

Convolutions multiply in `dtype` and sum in float32; norms, residuals and what passes between blocks stay
float32, without which bfloat16 strays by more than 2 % of the output's largest value.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from mtv_jax.ops.causal_conv import causal_conv3d, conv2d
from mtv_jax.ops.norms import GroupNorm
from mtv_jax.typing import Array, Float

Cache = dict[str, Any]
"""Nested by module name; leaves are the last frames [b P H W c] a causal convolution saw: one fewer than its kernel."""

_kernel_init = nn.initializers.variance_scaling(
    1 / 3, "fan_in", "uniform"
)  # torch's default for convolutions


class CausalConv(nn.Module):
    """Causal 3D convolution with a bias, kernel `frames` x 3 x 3."""

    channels: int
    frames: int = 3
    dtype: Any = jnp.float32
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Float[Array, "b F H W c"], cache: Array | None = None) -> tuple[Array, Array]:
        """Output frames, and the cache for the frames that follow."""
        kernel, bias = _weights(self, (self.frames, 3, 3), x.shape[-1], self.channels, self.bias_init)
        y, cache = causal_conv3d(x.astype(self.dtype), kernel, cache)
        return y + bias, cache


class FrameConv(nn.Module):
    """3x3 convolution of every frame with a bias."""

    channels: int
    stride: int = 1
    padding: tuple[int, int] = (1, 1)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b F H W c"]) -> Float[Array, "b F H2 W2 d"]:
        """Applied to every frame alike."""
        kernel, bias = _weights(self, (3, 3), x.shape[-1], self.channels)
        return conv2d(x.astype(self.dtype), kernel, stride=self.stride, padding=self.padding) + bias


class Pointwise(nn.Module):
    """1x1x1 convolution with a bias."""

    channels: int
    dtype: Any = jnp.float32
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Float[Array, "b F H W c"]) -> Float[Array, "b F H W d"]:
        """Applied to every cell alike."""
        kernel, bias = _weights(self, (1, 1, 1), x.shape[-1], self.channels, self.bias_init)
        return jnp.matmul(x.astype(self.dtype), kernel[0, 0, 0], preferred_element_type=jnp.float32) + bias


class SpatialNorm(nn.Module):
    """Group norm, then a scale and a shift read from the latents: `GN(x) * conv_y(z) + conv_b(z)`.

    A 1x1x1 convolution commutes with nearest upsampling, so both run at the latents' size.
    Source: diffusers CogVideoXSpatialNorm3D.
    """

    groups: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "b F H W c"], z: Float[Array, "b f h w z"], lone_first: bool
    ) -> Float[Array, "b F H W c"]:
        """`z` are the latents this chunk is decoded from."""
        normed = GroupNorm(self.groups, name="norm")(x)
        # Without the ones an untrained decoder would multiply all that it has by latents, which are about 0.
        scale = Pointwise(x.shape[-1], bias_init=nn.initializers.ones, name="conv_y")(z)
        shift = Pointwise(x.shape[-1], name="conv_b")(z)
        batch, frames, height, width, channels = x.shape
        rows, columns = z.shape[2:4]
        blocks = (batch, frames, rows, height // rows, columns, width // columns, channels)

        def spread(a: Array) -> Array:
            return repeat_frames(a, frames, lone_first)[:, :, :, None, :, None]

        return (normed.reshape(blocks) * spread(scale) + spread(shift)).reshape(x.shape)


class ResBlock(nn.Module):
    """Two causal convolutions, each after a norm and SiLU, and a residual.

    The norms are spatial if latents `z` are given (decoder), else group norms (encoder).
    Source: diffusers CogVideoXResnetBlock3D.
    """

    channels: int
    groups: int
    eps: float
    frames: int = 3
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b F H W c"],
        cache: Cache | None,
        z: Float[Array, "b f h w z"] | None = None,
        lone_first: bool = True,
    ) -> tuple[Float[Array, "b F H W d"], Cache]:
        """Output and the caches of both convolutions."""
        past, new = cache or {}, {}
        y = x = lax.optimization_barrier(x)
        for n in ("1", "2"):
            if z is None:
                y = GroupNorm(self.groups, self.eps, name=f"norm{n}")(y)
            else:
                y = SpatialNorm(self.groups, name=f"norm{n}")(y, z, lone_first)
            y = nn.silu(y)
            name = f"conv{n}"
            y, new[name] = CausalConv(self.channels, self.frames, dtype=self.dtype, name=name)(
                y, past.get(name)
            )
        if x.shape[-1] != self.channels:
            x = Pointwise(self.channels, self.dtype, name="shortcut")(x)
        return x + y, new


class Downsample(nn.Module):
    """Average of frame pairs (if `time`), then a strided convolution that halves height and width.

    Source: diffusers CogVideoXDownsample3D.
    """

    time: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b F H W c"], lone_first: bool) -> Float[Array, "b F2 H2 W2 c"]:
        """Frames are halved too if `time`."""
        if self.time:
            x = average_frame_pairs(x, lone_first)
        return FrameConv(x.shape[-1], stride=2, padding=(0, 1), dtype=self.dtype, name="conv")(x)


class Upsample(nn.Module):
    """Nearest upsampling to twice the height and width (and twice the frames if `time`), then a convolution.

    The convolution runs before frames are repeated, which gives the same numbers in half the time.
    Source: diffusers CogVideoXUpsample3D.
    """

    time: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b F H W c"], lone_first: bool) -> Float[Array, "b F2 H2 W2 c"]:
        """Frames are doubled too if `time`."""
        batch, frames, height, width, channels = x.shape
        cells = jnp.broadcast_to(x[:, :, :, None, :, None], (batch, frames, height, 2, width, 2, channels))
        x = cells.reshape(batch, frames, 2 * height, 2 * width, channels)
        x = FrameConv(channels, dtype=self.dtype, name="conv")(x)
        return repeat_frames(x, 2 * frames - lone_first, lone_first) if self.time else x


def repeat_frames(x: Float[Array, "b f h w c"], frames: int, lone_first: bool) -> Float[Array, "b F h w c"]:
    """Repeats each frame equally often to get `frames`; with `lone_first` the first is not repeated."""
    if x.shape[1] == frames:
        return x
    head, tail = x[:, :lone_first], x[:, lone_first:]
    times = (frames - lone_first) // tail.shape[1]
    tail = jnp.broadcast_to(tail[:, :, None], (*tail.shape[:2], times, *tail.shape[2:]))
    tail = tail.reshape(x.shape[0], frames - lone_first, *x.shape[2:])
    return jnp.concatenate([head, tail], axis=1) if lone_first else tail


def average_frame_pairs(x: Float[Array, "b f h w c"], lone_first: bool) -> Float[Array, "b F h w c"]:
    """Mean of each two frames; with `lone_first` the first frame is kept as it is."""
    head, tail = x[:, :lone_first], x[:, lone_first:]
    pairs = tail.reshape(x.shape[0], tail.shape[1] // 2, 2, *x.shape[2:])
    mean = pairs.mean(2, dtype=jnp.float32).astype(x.dtype)
    return jnp.concatenate([head, mean], axis=1) if lone_first else mean


def _weights(
    module: nn.Module,
    window: tuple[int, ...],
    inputs: int,
    outputs: int,
    bias_init: nn.initializers.Initializer = nn.initializers.zeros,
) -> tuple[Array, Array]:
    """Kernel, in the module's compute type, and bias of a convolution."""
    kernel = module.param("kernel", _kernel_init, (*window, inputs, outputs))
    bias = module.param("bias", bias_init, (outputs,))
    return kernel.astype(module.dtype), bias
