"""The spectrogram of HTDemucs and its inverse: real and imaginary parts are channels.

Frame t is centred on the middle of the t-th hop, so that a sound of n hops has n frames; the highest of the
`nfft / 2 + 1` frequencies is dropped. The scale is torch's `normalized=True`: a transform divided by sqrt(nfft).
"""

import jax.numpy as jnp
import numpy as np

from mtv_jax.typing import Array, Float

_OVERLAP = 4
"""Frames that overlap at a sample, `nfft / hop`."""
_WINDOW_POWER = 1.5
"""Sum of the squared Hann windows over a sample at this overlap."""


def spectrogram(x: Float[Array, "b s c"], nfft: int) -> Float[Array, "b f t d"]:
    """Spectrogram with nfft / 2 frequencies, a frame per hop (the last may be a part), and 2 c channels.

    The channels are real and imaginary part of the first channel, then of the second, and so on. Beyond its ends the
    sound is mirrored.
    """
    hop = nfft // _OVERLAP
    frames = -(-x.shape[1] // hop)
    margin = hop // 2 * 3
    x = jnp.pad(x, [(0, 0), (margin, margin + frames * hop - x.shape[1]), (0, 0)], mode="reflect")
    blocks = jnp.moveaxis(x, 2, 1).reshape(x.shape[0], x.shape[2], frames + _OVERLAP - 1, hop)
    windows = jnp.concatenate([blocks[:, :, i : i + frames] for i in range(_OVERLAP)], axis=-1)
    values = jnp.fft.rfft(windows * _window(nfft))[..., :-1] / np.float32(nfft**0.5)
    parts = jnp.stack([values.real, values.imag], axis=-1)
    return parts.transpose(0, 3, 2, 1, 4).reshape(x.shape[0], nfft // 2, frames, -1)


def waveform(spectrum: Float[Array, "b f t d"], length: int) -> Float[Array, "b s c"]:
    """The inverse of `spectrogram`, cut to `length` samples."""
    batch, frequencies, frames, _ = spectrum.shape
    nfft = 2 * frequencies
    hop = nfft // _OVERLAP
    parts = spectrum.reshape(batch, frequencies, frames, -1, 2).transpose(0, 3, 2, 1, 4)
    values = jnp.pad(parts[..., 0] + 1j * parts[..., 1], [(0, 0)] * 3 + [(0, 1)])
    windows = jnp.fft.irfft(values) * (_window(nfft) * np.float32(nfft**0.5 / _WINDOW_POWER))
    blocks = windows.reshape(*windows.shape[:3], _OVERLAP, hop)
    shifted = [
        jnp.pad(blocks[..., i, :], [(0, 0), (0, 0), (i, _OVERLAP - 1 - i), (0, 0)]) for i in range(_OVERLAP)
    ]
    x = sum(shifted[1:], start=shifted[0]).reshape(*windows.shape[:2], -1)
    margin = hop // 2 * 3
    return jnp.moveaxis(x[..., margin : margin + length], 1, 2)


def _window(length: int) -> np.ndarray:
    """Periodic Hann window."""
    return np.hanning(length + 1)[:-1].astype(np.float32)
