"""AudioSep's ResUNet30 ("Separate Anything You Describe", Liu et al. 2023), for inference.

The layers are those of `models/resunet.py` of Audio-AGI/AudioSep. Batch normalisation uses fixed statistics, which are
parameters. The embedding of the words is added to every normalised input of a convolution, a bias for each channel.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.models.resunet.config import ResUNetConfig
from mtv_jax.models.resunet.spectrum import frames_within, spectrum, waveform
from mtv_jax.ops.norms import FixedBatchNorm
from mtv_jax.ops.precision import convolution, dense
from mtv_jax.typing import Array, Bool, Complex, Float, Int

_EPSILON = 1e-5
_LEAST_POWER = 1e-10
"""Power of a bin counts as no less."""
_LEAST_PHASE = 1e-10
"""Divisor of the rotation of a bin's phase, at least."""
_MAPS = 3
"""Outputs for each bin: a magnitude's mask, and the real and imaginary part of a rotation."""


class AudioSepResUNet(nn.Module):
    """A U-Net on the magnitudes of a spectrum. It gives a mask for the magnitudes and a rotation of the phases."""

    config: ResUNetConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        mixture: Float[Array, "b s"],
        condition: Float[Array, "b d"],
        lengths: Int[Array, "b"] | None = None,
    ) -> Float[Array, "b s"]:
        """The sound in the mixture that the embedding describes, float32.

        Args:
          mixture: sound at `config.sample_rate` Hz, full scale is +-1.
          condition: embedding of the words by CLAP, normalised to length 1.
          lengths: samples of each row, above `config.n_fft / 2`; the result is that of the row cut to its length,
            followed by zeros. None: all.
        """
        config, samples = self.config, mixture.shape[1]
        lengths = jnp.full(mixture.shape[:1], samples) if lengths is None else lengths
        values = spectrum(mixture, lengths, config.n_fft, config.hop)
        power = jnp.square(values.real) + jnp.square(values.imag)
        maps = self._maps(jnp.sqrt(jnp.maximum(power, _LEAST_POWER)), condition, lengths)
        # The highest frequency, which the network does not see, is silent.
        separated = jnp.pad(values[..., :-1] * _mask(maps), [(0, 0), (0, 0), (0, 1)])
        return waveform(separated, lengths, config.n_fft, config.hop, samples)

    def _maps(self, magnitudes: Array, condition: Array, lengths: Array) -> Array:
        """The outputs [b t f 3] for magnitudes [b t f], but for the highest frequency."""
        config, frames = self.config, magnitudes.shape[1]
        x = FixedBatchNorm(_EPSILON, name="input_norm")(magnitudes)
        x = jnp.where(frames_within(lengths, frames, config.hop)[..., None], x, 0)
        missing = -frames % config.time_factor
        x = jnp.pad(x[..., :-1], [(0, 0), (0, missing), (0, 0)])[..., None]
        # A sound alone is filled up to whole steps of the lowest level, beyond which convolutions see zeros.
        blocks = lengths // config.hop // config.time_factor
        inside = jnp.arange(frames + missing) // config.time_factor <= blocks[:, None]
        x = _conv(config.widths[0], 1, self.dtype, "pre_conv")(x)
        return _conv(_MAPS, 1, self.dtype, "after_conv")(self._unet(x, condition, inside))[:, :frames]

    def _unet(self, x: Array, condition: Array, inside: Array) -> Array:
        """Down through all levels and up again, [b t f c] with the channels of the first level."""
        widths, skips = self.config.widths, []
        for level, width in enumerate(widths, 1):
            x = Residual(width, self.dtype, name=f"encoder_{level}")(x, condition, inside)
            skips.append(x)
            step = (1, 2) if level == len(widths) else (2, 2)
            x = nn.avg_pool(x, step, step)
        x = Residual(widths[-1], self.dtype, name="middle")(x, condition, inside)
        for level, width in enumerate(reversed(widths), 1):
            step = (1, 2) if level == 1 else (2, 2)
            x = Decoder(width, step, self.dtype, name=f"decoder_{level}")(x, skips.pop(), condition, inside)
        return x


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t f c"], condition: Float[Array, "b d"], inside: Bool[Array, "b n"]
    ) -> Float[Array, "b t f w"]:
        """`inside` says, at the time resolution of the first level, what belongs to the sound."""
        y = x
        for number in (1, 2):
            y = _activated(y, condition, self.dtype, f"norm_{number}", f"film_{number}")
            y = jnp.where(inside[:, :: inside.shape[1] // y.shape[1], None, None], y, 0)
            y = _conv(self.width, 3, self.dtype, f"conv_{number}", use_bias=False)(y)
        return y + (x if x.shape[-1] == self.width else _conv(self.width, 1, self.dtype, "shortcut")(x))


class Decoder(nn.Module):
    """Enlarges time and frequency by `step`, and joins what the encoder had at that resolution."""

    width: int
    step: tuple[int, int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b t f c"],
        skip: Float[Array, "b T F w"],
        condition: Float[Array, "b d"],
        inside: Bool[Array, "b n"],
    ) -> Float[Array, "b T F w"]:
        """The result has the shape of `skip`."""
        # In the checkpoints of the original, which does not use them either.
        _activated(x, condition, self.dtype, "unused_norm", "unused_film")
        x = _activated(x, condition, self.dtype, "norm", "film")
        x = Enlarge(self.width, self.step, self.dtype, name="enlarge")(x)
        x = jnp.concatenate([x, skip], axis=-1)
        return Residual(self.width, self.dtype, name="residual")(x, condition, inside)


class Enlarge(nn.Module):
    """A transposed convolution whose kernel is as large as its stride: every point becomes a patch."""

    width: int
    step: tuple[int, int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t f c"]) -> Float[Array, "b T F w"]:
        """Larger by `step`."""
        shape = (*self.step, self.width, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.lecun_normal(in_axis=-1, out_axis=-2), shape)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        patches = jnp.einsum("btfc,yxwc->btyfxw", x, kernel, preferred_element_type=jnp.float32)
        batch, t, down, f, across, width = patches.shape
        return patches.reshape(batch, t * down, f * across, width)


def _activated(x: Array, condition: Array, dtype: Any, norm: str, film: str) -> Array:
    """Normalised, shifted by what the condition adds to each channel, and rectified. Within a compact module."""
    shift = dense(x.shape[-1], dtype, film)(condition)[:, None, None]
    return nn.leaky_relu(FixedBatchNorm(_EPSILON, name=norm)(x) + shift)


def _conv(features: int, size: int, dtype: Any, name: str, **options: Any) -> nn.Conv:
    return nn.Conv(
        features, (size, size), dtype=dtype, conv_general_dilated=convolution, name=name, **options
    )


def _mask(maps: Float[Array, "b t f 3"]) -> Complex[Array, "b t f"]:
    """The factor of each bin: a gain in 0..1 and a rotation."""
    real, imaginary = jnp.tanh(maps[..., 1]), jnp.tanh(maps[..., 2])
    length = jnp.sqrt(jnp.square(real) + jnp.square(imaginary))
    gain = nn.sigmoid(maps[..., 0]) / jnp.maximum(length, _LEAST_PHASE)
    return gain * (real + 1j * imaginary)
