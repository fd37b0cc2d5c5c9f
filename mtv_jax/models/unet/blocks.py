"""Convolutional parts of a UNet. Frames are rows of the batch (`n` = batch x frames), each by itself."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.ops.norms import GroupNorm
from mtv_jax.ops.precision import convolution, dense
from mtv_jax.typing import Array, Float


def conv(channels: int, dtype: Any, name: str | None = None, *, size: int = 3, stride: int = 1) -> nn.Conv:
    """A convolution that pads `size // 2` zeros on each side, with `dtype` inputs and a float32 result."""
    return nn.Conv(
        channels,
        (size, size),
        stride,
        padding=size // 2,
        dtype=dtype,
        conv_general_dilated=convolution,
        name=name,
    )


class ResBlock(nn.Module):
    """Two convolutions, each after a norm and SiLU; between them the time embedding is added; and a residual.

    Source: diffusers ResnetBlock2D, latent-diffusion ResBlock.
    """

    channels: int
    groups: int
    eps: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], time: Float[Array, "n e"]) -> Float[Array, "n h w d"]:
        """`time` is the embedding of the timestep; float32."""
        y = nn.silu(GroupNorm(self.groups, self.eps, name="in_norm")(x))
        y = conv(self.channels, self.dtype, "in_conv")(y)
        y = y + dense(self.channels, self.dtype, "time_proj")(nn.silu(time))[:, None, None]
        y = nn.silu(GroupNorm(self.groups, self.eps, name="out_norm")(y))
        y = conv(self.channels, self.dtype, "out_conv")(y)
        if x.shape[-1] != self.channels:
            x = conv(self.channels, self.dtype, "shortcut", size=1)(x)
        return x + y


class Downsample(nn.Module):
    """A convolution of stride 2: half the height and width."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
        """Float32."""
        return conv(x.shape[-1], self.dtype, "conv", stride=2)(x)


class Upsample(nn.Module):
    """Each cell repeated to twice the height and width, then a convolution."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
        """Float32."""
        n, h, w, c = x.shape
        cells = jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c))
        return conv(c, self.dtype, "conv")(cells.reshape(n, 2 * h, 2 * w, c))


class TemporalConv(nn.Module):
    """Four convolutions over three frames, each after a norm and SiLU, and a residual: every cell by itself.

    The norms' statistics are those of all frames of a clip together. Source: VideoCrafter TemporalConvBlock.
    """

    groups: int
    eps: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], clips: int) -> Float[Array, "n h w c"]:
        """`x` [clips * frames, ...] plus the convolutions' output; float32."""
        n, h, w, c = x.shape
        y = x.reshape(clips, n // clips, h * w, c)
        for i in range(4):
            y = nn.silu(GroupNorm(self.groups, self.eps, name=f"norm_{i}")(y))
            y = TimeConv(c, self.dtype, name=f"conv_{i}")(y)
        return x + y.reshape(x.shape)


class TimeConv(nn.Module):
    """A convolution over three frames at each cell, with zeros before the first frame and after the last."""

    channels: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b f cells c"]) -> Float[Array, "b f cells d"]:
        """Float32."""
        shape = (3, 1, 1, x.shape[-1], self.channels)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        # In two dimensions, since XLA's convolutions in three are slow on CPUs.
        y = convolution(
            x.astype(self.dtype),
            kernel[:, 0].astype(self.dtype),
            (1, 1),
            [(1, 1), (0, 0)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return y + bias
