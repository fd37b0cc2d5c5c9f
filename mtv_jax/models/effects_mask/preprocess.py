"""Spectra of mono sound at 16 kHz: what the effects mask sees, and what it multiplies."""

import numpy as np

from mtv_jax.models.effects_mask.config import BINS, HOP, N_FFT
from mtv_jax.typing import Complex, Float

_FLOOR_DB, _RANGE_DB = -90.0, 45.0
"""Level in dB of full scale that counts as silence, and the decibels of one unit above it."""
_WINDOW = np.sin(np.pi * (np.arange(N_FFT) + 0.5) / N_FFT)
"""Root of a Hann window: applied twice, windows at a distance of HOP add up to one."""


def spectrum(wave: Float[np.ndarray, "s"]) -> Complex[np.ndarray, "T k"]:
    """Spectra of T = s // HOP + 2 windows, the first of which ends HOP samples into the sound: BINS + 1 bins."""
    count = len(wave) // HOP + 2
    padded = np.zeros((count + 1) * HOP, np.float32)
    padded[HOP : HOP + len(wave)] = wave
    windows = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    return np.fft.rfft(windows * _WINDOW).astype(np.complex64)


def waveform(spectra: Complex[np.ndarray, "T k"], num_samples: int) -> Float[np.ndarray, "s"]:
    """The sound [num_samples] of the spectra of `spectrum`."""
    windows = np.fft.irfft(spectra, N_FFT) * _WINDOW
    wave = np.zeros((len(windows) + 1, HOP))
    wave[:-1] += windows[:, :HOP]
    wave[1:] += windows[:, HOP:]
    return wave.ravel()[HOP : HOP + num_samples].astype(np.float32)


def levels(power: Float[np.ndarray, "T k"]) -> Float[np.ndarray, "T k2"]:
    """Levels of the first BINS bins of squared spectra: 0 for silence (-90 dBFS and below), 2 for a full-scale sine."""
    full_scale = (_WINDOW.sum() / 2) ** 2
    decibels = 10 * np.log10(np.maximum(power[:, :BINS] / full_scale, 1e-12))
    return (np.maximum(decibels - _FLOOR_DB, 0) / _RANGE_DB).astype(np.float32)
