"""Kaldi's log-mel filter bank, in numpy."""

import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.models.beats.config import FbankConfig
from mtv_jax.typing import Float

_FLOOR = np.finfo(np.float32).eps
"""Lower limit of the energy of a mel bin; the narrowest bins contain no FFT bin and always have this value."""


def fbank(waveform: Float[np.ndarray, "s"], config: FbankConfig = FbankConfig()) -> Float[np.ndarray, "t m"]:  # noqa: B008
    """Log energies of the mel bins of every whole frame of `waveform` (-1..1), float32.

    Per frame: mean removed, pre-emphasis, window, power spectrum (Kaldi `compute-fbank-feats`). Raises UserError if
    the waveform is shorter than a frame.
    """
    window, shift = config.window, config.shift
    x = np.asarray(waveform, np.float64) * config.full_scale
    if len(x) < window:
        raise UserError(f"sound of {len(x)} samples: the filter bank needs at least {window}")
    frames = np.lib.stride_tricks.sliding_window_view(x, window)[::shift]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames = (frames - config.preemphasis_coefficient * before) * _window(config)
    power = np.abs(np.fft.rfft(frames, config.fft_size, axis=1)) ** 2
    energies = power[:, :-1] @ mel_banks(config).T
    return np.log(np.maximum(energies, _FLOOR)).astype(np.float32)


def normalised_fbank(
    waveform: Float[np.ndarray, "s"],
    config: FbankConfig = FbankConfig(),  # noqa: B008
) -> Float[np.ndarray, "t m"]:
    """The filter bank normalised for BEATs: `(x - mean) / (2 std)`."""
    return (fbank(waveform, config) - np.float32(config.mean)) / np.float32(2 * config.std)


def mel_banks(config: FbankConfig) -> Float[np.ndarray, "m k"]:
    """Triangles of equal width on the mel scale, `1127 log(1 + f / 700)`; without the Nyquist bin."""
    nyquist = config.sample_frequency / 2
    high = config.high_freq + nyquist if config.high_freq <= 0 else config.high_freq
    edges = np.linspace(_mel(config.low_freq), _mel(high), config.num_mel_bins + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = _mel(np.arange(config.fft_size // 2) * config.sample_frequency / config.fft_size)
    return np.maximum(0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))


def _window(config: FbankConfig) -> Float[np.ndarray, "w"]:
    """Hann's window, which is zero at both ends; Povey's is its power."""
    return np.hanning(config.window) ** (0.85 if config.window_type == "povey" else 1)


def _mel(frequency):
    return 1127 * np.log(1 + np.asarray(frequency) / 700)
