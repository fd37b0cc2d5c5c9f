"""Spectra of mono sound at 16 kHz: what the effects mask sees, and what it multiplies."""

import jax.numpy as jnp
import numpy as np

from mtv_jax.models.effects_mask.config import HOP, N_FFT
from mtv_jax.typing import Array, Complex, Float

_FLOOR_DB, _RANGE_DB = -90.0, 45.0
"""Level in dB of full scale that counts as silence, and the decibels of one unit above it."""
WINDOW = np.sin(np.pi * (np.arange(N_FFT) + 0.5) / N_FFT).astype(np.float32)
"""Root of a Hann window: applied twice, windows at a distance of HOP add up to one."""
_FULL_SCALE = float((WINDOW.sum() / 2) ** 2)
"""Squared spectrum of a full-scale sine."""


def spectrum(wave: Float[np.ndarray, "s"]) -> Complex[np.ndarray, "T k"]:
    """Spectra of T = s // HOP + 2 windows, the first of which ends HOP samples into the sound: BINS + 1 bins."""
    count = len(wave) // HOP + 2
    padded = np.zeros((count + 1) * HOP, np.float32)
    padded[HOP : HOP + len(wave)] = wave
    windows = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    return np.fft.rfft(windows * WINDOW).astype(np.complex64)


def waveform(spectra: Complex[np.ndarray, "T k"], num_samples: int) -> Float[np.ndarray, "s"]:
    """The sound [num_samples] of the spectra of `spectrum`."""
    windows = np.fft.irfft(spectra, N_FFT) * WINDOW
    wave = np.zeros((len(windows) + 1, HOP))
    wave[:-1] += windows[:, :HOP]
    wave[1:] += windows[:, HOP:]
    return wave.ravel()[HOP : HOP + num_samples].astype(np.float32)


def levels(power: Float[Array, "*b k"]) -> Float[Array, "*b k"]:
    """Levels of squared spectra: 0 for silence (-90 dBFS and below), 2 for a full-scale sine."""
    decibels = 10 * jnp.log10(jnp.maximum(power / _FULL_SCALE, 1e-12))
    return jnp.maximum(decibels - _FLOOR_DB, 0) / _RANGE_DB
