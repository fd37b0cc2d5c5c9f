"""The spectrum of a sound and its inverse: those of torchlibrosa 0.1.0 and librosa, centred, with a Hann window.

The sounds of a batch may have different lengths. Beyond its own end each is mirrored, as it would be alone.
"""

import jax.numpy as jnp
import numpy as np

from mtv_jax.typing import Array, Bool, Complex, Float, Int

_LEAST = 1e-11
"""The sum of the squared windows over a sample counts as no less."""


def spectrum(
    samples: Float[Array, "b s"], lengths: Int[Array, "b"], n_fft: int, hop: int
) -> Complex[Array, "b t f"]:
    """Spectra of n_fft / 2 + 1 frequencies around the samples 0, hop, 2 hop ...: t = 1 + s // hop.

    Args:
      samples: sound; from its length on, the values of a row have no effect on its spectra up to `length // hop`.
      lengths: samples of each row, above n_fft / 2.
      n_fft: samples of a window.
      hop: samples from one window to the next.
    """
    frames, parts = 1 + samples.shape[1] // hop, -(-n_fft // hop)
    blocks = _mirrored(samples, lengths, n_fft // 2, (frames + parts - 1) * hop)
    blocks = blocks.reshape(len(samples), frames + parts - 1, hop)
    windows = jnp.concatenate([blocks[:, i : i + frames] for i in range(parts)], axis=-1)[..., :n_fft]
    return jnp.fft.rfft(windows * _hann(n_fft))


def waveform(
    values: Complex[Array, "b t f"], lengths: Int[Array, "b"], n_fft: int, hop: int, samples: int
) -> Float[Array, "b s"]:
    """The inverse of `spectrum`, with `samples` samples; zeros from a row's length on."""
    inside = frames_within(lengths, values.shape[1], hop)[..., None]
    window = _hann(n_fft)
    windows = jnp.where(inside, jnp.fft.irfft(values) * window, 0)
    weights = jnp.where(inside, np.square(window), 0)
    sound = _overlapped(windows, hop) / jnp.maximum(_overlapped(weights, hop), _LEAST)
    sound = sound[:, n_fft // 2 : n_fft // 2 + samples]
    return jnp.where(jnp.arange(samples) < lengths[:, None], sound, 0)


def frames_within(lengths: Int[Array, "b"], frames: int, hop: int) -> Bool[Array, "b t"]:
    """Which spectra are around a sample of the sound, or its end."""
    return jnp.arange(frames) <= lengths[:, None] // hop


def _mirrored(samples: Array, lengths: Array, before: int, total: int) -> Array:
    """`total` samples from `before` before the sound on; the samples at its ends are not repeated."""
    positions = jnp.abs(jnp.arange(total) - before)
    last = lengths[:, None] - 1
    positions = jnp.where(positions > last, 2 * last - positions, positions)
    return jnp.take_along_axis(samples, jnp.clip(positions, 0, samples.shape[1] - 1), axis=1)


def _overlapped(windows: Array, hop: int) -> Array:
    """The sum of windows [b t n], each `hop` after the one before it: [b s]."""
    batch, frames, length = windows.shape
    parts = -(-length // hop)
    windows = jnp.pad(windows, [(0, 0), (0, 0), (0, parts * hop - length)])
    blocks = windows.reshape(batch, frames, parts, hop)
    shifted = [jnp.pad(blocks[:, :, i], [(0, 0), (i, parts - 1 - i), (0, 0)]) for i in range(parts)]
    return sum(shifted[1:], start=shifted[0]).reshape(batch, -1)


def _hann(length: int) -> np.ndarray:
    """Periodic Hann window."""
    return np.hanning(length + 1)[:-1].astype(np.float32)
