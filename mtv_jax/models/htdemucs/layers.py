"""Layers of HTDemucs' two U-Nets: one over the frequencies of a spectrogram, the other over the time of a waveform.

Both are made of the same layers. Those of the spectrogram [b f t c] change the resolution of its frequencies, those of
the waveform [b t c] that of time.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.models.htdemucs.config import KERNEL, STRIDE, HTDemucsConfig
from mtv_jax.ops.precision import convolution, dot_float32
from mtv_jax.typing import Array, Float

_MARGIN = KERNEL // 4
"""Padding of the strided convolutions at either side."""
_SCALE_INIT = 1e-3


class EncoderLayer(nn.Module):
    """Strided convolution and GELU, dilated convolutions over time, pointwise convolution and gated linear unit."""

    config: HTDemucsConfig
    width: int
    over_frequency: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b *less d"]:
        """A fourth of the frequencies or, rounded up, of the samples; `width` channels."""
        if not self.over_frequency:
            x = jnp.pad(x, [(0, 0), (0, -x.shape[1] % STRIDE), (0, 0)])
        window = _window(KERNEL, self.over_frequency)
        x = conv(
            self.width,
            window,
            self.dtype,
            "conv",
            strides=_window(STRIDE, self.over_frequency),
            padding=_padding(window, _MARGIN),
        )(x)
        x = DilatedConvolutions(self.config, self.dtype, name="dconv")(nn.gelu(x, approximate=False))
        window = _window(1, self.over_frequency)
        return nn.glu(conv(2 * self.width, window, self.dtype, "rewrite", padding=_padding(window, 0))(x))


class DecoderLayer(nn.Module):
    """Convolution with gated linear unit, dilated convolutions over time, transposed convolution and GELU.

    Attributes:
      width: channels of the output.
      last: whether it is the outermost, which has no GELU.
    """

    config: HTDemucsConfig
    width: int
    over_frequency: bool
    last: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b *space c"], skip: Float[Array, "b *space c"], length: int
    ) -> Float[Array, "b *more d"]:
        """`length` frequencies or samples, at most four times those of `x`; `skip` is the encoder layer's output."""
        # Over the spectrogram this convolution covers three frequencies and three frames.
        window = (3, 3) if self.over_frequency else (3,)
        x = nn.glu(
            conv(2 * x.shape[-1], window, self.dtype, "rewrite", padding=[(1, 1)] * len(window))(x + skip)
        )
        if self.config.dconv_mode == 3:
            x = DilatedConvolutions(self.config, self.dtype, name="dconv")(x)
        window = _window(KERNEL, self.over_frequency)
        x = TransposedConvolution(self.width, window, self.dtype, name="conv_tr")(x)
        x = x[:, _MARGIN : _MARGIN + length]
        return x if self.last else nn.gelu(x, approximate=False)


class DilatedConvolutions(nn.Module):
    """Residual branches over time, of every frequency alone: a dilated convolution to few channels, and one back."""

    config: HTDemucsConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b *space t c"]) -> Float[Array, "b *space t c"]:
        """`dconv_depth` branches, one after the other, each with twice the dilation of the one before."""
        width = x.shape[-1]
        y = x.reshape(-1, *x.shape[-2:])
        for i in range(self.config.dconv_depth):
            dilation = 2**i
            hidden = conv(
                width // self.config.dconv_comp,
                (3,),
                self.dtype,
                f"narrow_{i}",
                padding=[(dilation, dilation)],
                kernel_dilation=dilation,
            )(y)
            hidden = nn.gelu(group_norm(f"narrow_norm_{i}")(hidden), approximate=False)
            hidden = conv(2 * width, (1,), self.dtype, f"wide_{i}", padding=[(0, 0)])(hidden)
            hidden = nn.glu(group_norm(f"wide_norm_{i}")(hidden))
            y = y + self.param(f"scale_{i}", nn.initializers.constant(_SCALE_INIT), (width,)) * hidden
        return y.reshape(x.shape)


class TransposedConvolution(nn.Module):
    """The transpose of a strided convolution along axis 1, over all of its output: n inputs give 4 n + 4.

    Every group of four outputs is a matrix product of the inputs that reach it; a convolution of the input with zeros
    in between, which XLA would compute, multiplies mostly zeros.
    """

    width: int
    window: tuple[int, ...]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n *rest c"]) -> Float[Array, "b m *rest d"]:
        """Float32."""
        inputs, reach = x.shape[-1], KERNEL // STRIDE
        init = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
        kernel = self.param("kernel", init, (*self.window, self.width, inputs))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        groups = x.shape[1] + reach - 1
        padded = jnp.pad(x, [(0, 0), (reach - 1, reach - 1), *[(0, 0)] * (x.ndim - 2)])
        before = [padded[:, reach - 1 - i : reach - 1 - i + groups] for i in range(reach)]
        matrix = kernel.reshape(reach, STRIDE, self.width, inputs).transpose(0, 3, 1, 2)
        y = dot_float32(
            jnp.concatenate(before, axis=-1).astype(self.dtype),
            matrix.reshape(reach * inputs, STRIDE * self.width).astype(self.dtype),
            (((x.ndim - 1,), (0,)), ((), ())),
        )
        y = jnp.moveaxis(y.reshape(*y.shape[:-1], STRIDE, self.width), -2, 2)
        return y.reshape(x.shape[0], groups * STRIDE, *x.shape[2:-1], self.width) + bias


def conv(features: int, window: Sequence[int], dtype: Any, name: str | None, **options: Any) -> nn.Conv:
    """A convolution with `dtype` inputs and a float32 result."""
    return nn.Conv(features, window, dtype=dtype, conv_general_dilated=convolution, name=name, **options)


def group_norm(name: str) -> nn.GroupNorm:
    """A norm over everything but the batch, with a scale and a bias per channel."""
    return nn.GroupNorm(num_groups=1, epsilon=1e-5, dtype=jnp.float32, use_fast_variance=False, name=name)


def normalised(x: Float[Array, "b *rest"]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Every item with mean 0 and standard deviation 1, its mean, and its standard deviation."""
    axes = tuple(range(1, x.ndim))
    mean, std = x.mean(axes, keepdims=True), x.std(axes, keepdims=True, ddof=1)
    return (x - mean) / (1e-5 + std), mean, std


def _window(size: int, over_frequency: bool) -> tuple[int, ...]:
    return (size, 1) if over_frequency else (size,)


def _padding(window: tuple[int, ...], margin: int) -> list[tuple[int, int]]:
    return [(margin, margin), *[(0, 0)] * (len(window) - 1)]
