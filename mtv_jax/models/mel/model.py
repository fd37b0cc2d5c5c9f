"""Log-mel features in NumPy: no parameters, deterministic, exact in time."""

import functools
from fractions import Fraction

import numpy as np

from mtv_jax.models.mel.config import MelConfig

_ROWS = 4096
"""Windows transformed at once: bounds the memory for long sounds."""


def log_mel_features(
    waveform: np.ndarray, num_frames: int, fps: float | Fraction, config: MelConfig
) -> np.ndarray:
    """Band levels at the times of video frames.

    Sub-frame j of frame i is centred at (i + (j + 1/2) / L) / fps seconds, to the nearest sample, and its
    band m holds the mean square of the waveform in that band (all bands add up to the mean square). Levels
    are in dB of full scale, cut off below `floor_db`, mapped linearly so that `floor_db` is -1 and 0 dB
    is +1: silence is exactly -1 everywhere, a full-scale sine at most 0.94, speech mostly -0.2 to 0.6.

    Only samples of the clip count: a waveform longer than num_frames / fps is cut, a shorter one is
    padded with zeros.

    Args:
      waveform: float32 [s] at `config.sample_rate`.
      num_frames: video frames (F).
      fps: video frames a second.
      config: bands and windows.

    Returns:
      float32 [F, L, C].
    """
    centres = _centres(num_frames, fps, config)
    end = round(num_frames / Fraction(fps) * config.sample_rate)
    before = config.window // 2
    padded = np.zeros(end + 2 * config.window, np.float32)
    clip = np.asarray(waveform, np.float32)[:end]
    padded[before : before + len(clip)] = clip
    # Padded by half a window in front, the window around sample c starts at index c.
    windows = np.lib.stride_tricks.sliding_window_view(padded, config.window)
    levels = [_levels(windows[centres[i : i + _ROWS]], config) for i in range(0, len(centres), _ROWS)]
    features = np.concatenate(levels) if levels else np.zeros((0, config.bins), np.float32)
    return features.reshape(num_frames, config.subframes, config.bins)


def _centres(num_frames: int, fps: float | Fraction, config: MelConfig) -> np.ndarray:
    subframes = np.arange(num_frames * config.subframes) + 0.5
    return np.rint(subframes * (config.sample_rate / (float(fps) * config.subframes))).astype(np.int64)


def _levels(windows: np.ndarray, config: MelConfig) -> np.ndarray:
    """Scaled band levels [n, C] of windows [n, window]."""
    spectrum = np.fft.rfft(windows * _window(config), config.n_fft)
    power = spectrum.real**2 + spectrum.imag**2
    decibels = 10 * np.log10(np.maximum(power @ _filters(config), np.float32(1e-30)))
    floor = np.float32(config.floor_db)
    return 1 - 2 * np.maximum(decibels, floor) / floor


@functools.cache
def _window(config: MelConfig) -> np.ndarray:
    """Periodic Hann window scaled so that twice the one-sided power adds up to the mean square (Parseval)."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.window) / config.window)
    return (hann * np.sqrt(2 / (config.n_fft * np.sum(hann**2)))).astype(np.float32)


@functools.cache
def _filters(config: MelConfig) -> np.ndarray:
    """Triangles of height 1 [n_fft // 2 + 1, C] on Slaney's mel scale (librosa.filters.mel with norm=None).

    Built here because importing librosa costs a second, which every data worker would pay.
    """
    edges = _mel_to_hz(np.linspace(_hz_to_mel(config.min_hz), _hz_to_mel(config.max_hz), config.bins + 2))
    hz = np.arange(config.n_fft // 2 + 1)[:, None] * (config.sample_rate / config.n_fft)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (hz - low) / (centre - low), (high - hz) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


# Slaney's Auditory Toolbox: linear to 1 kHz (15 mel), then 27 steps for a factor of 6.4.
_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + np.log(hz / 1000) / _STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * _STEP))
