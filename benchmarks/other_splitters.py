"""Splitters of effects from music that were measured against the effects mask and lost (benchmarks/README.md)."""

import librosa
import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from mtv_jax.typing import Float

Sound = Float[np.ndarray, "_ c"]


def repet_sim(rest: Sound, sample_rate: int) -> Sound:
    """REPET-SIM (Rafii and Pardo 2012): the median of similar windows is music, what exceeds it an effect."""
    n_fft = 2 ** (round(np.log2(0.0232 * sample_rate)) + 1)
    effects = np.empty_like(rest)
    for channel in range(rest.shape[1]):
        spectrum = librosa.stft(rest[:, channel], n_fft=n_fft, hop_length=n_fft // 4)
        level = np.abs(spectrum)
        apart = int(librosa.time_to_frames(1.0, sr=sample_rate, hop_length=n_fft // 4))
        apart = min(max(1, min(apart, level.shape[1] // 4)), (level.shape[1] - 1) // 2)
        median = librosa.decompose.nn_filter(level, aggregate=np.median, metric="cosine", width=apart)
        median = np.minimum(level, median)
        mask = librosa.util.softmask(level - median, 2 * median, power=2)
        effects[:, channel] = librosa.istft(
            spectrum * mask, n_fft=n_fft, hop_length=n_fft // 4, length=len(rest)
        )
    return effects


def transient(
    rest: Sound, sample_rate: int, bands: int = 24, rise_db: float = 6.0, share: float = 0.35
) -> Sound:
    """Bands that rise at an onset are open, for what exceeds twice their level before it, until they are back at it."""
    n_fft = 2 ** round(np.log2(0.0232 * sample_rate))
    hop, lag = n_fft // 4, 4
    spectra = [librosa.stft(channel, n_fft=n_fft, hop_length=hop) for channel in rest.T]
    filters = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=bands, norm=None)
    power = filters @ np.mean([np.abs(spectrum) ** 2 for spectrum in spectra], axis=0) + 1e-9
    width = max(1, round(0.05 * sample_rate / hop))
    before = uniform_filter1d(power, width, axis=1, origin=(width - 1) // 2)
    before = np.concatenate([np.full((bands, lag), 1e-9), before[:, :-lag]], axis=1)
    rises = power > before * 10 ** (rise_db / 10)
    rising, loud = (power * rises).sum(axis=0) / power.sum(axis=0), power.sum(axis=0)
    peaks = (rising >= share) & (rising == maximum_filter1d(rising, 2 * lag + 1)) & (loud > 1e-4 * loud.max())
    starts = np.maximum(np.flatnonzero(peaks) - lag // 2, 0)
    gains = _gains(power, before, set(starts.tolist()), 10 ** (rise_db / 10), hop / sample_rate)
    mask = (filters / np.maximum(filters.sum(axis=0), 1e-9)).T @ gains
    waves = [librosa.istft(s * mask, n_fft=n_fft, hop_length=hop, length=len(rest)) for s in spectra]
    return np.stack(waves, axis=1)


def _gains(power: np.ndarray, before: np.ndarray, starts: set[int], rise: float, step: float) -> np.ndarray:
    """[bands, T] in 0..1."""
    gains, floor = np.zeros_like(power), np.zeros(len(power))
    is_open, age = np.zeros(len(power), bool), np.zeros(len(power))
    for t in range(power.shape[1]):
        if t in starts:
            new = power[:, t : t + 8].max(axis=1) > before[:, t] * rise
            lower = np.where(is_open, np.minimum(floor, before[:, t]), before[:, t])
            floor, is_open = np.where(new, lower, floor), is_open | new
            age[new] = 0
        gain = np.clip((power[:, t] - 2 * floor) / power[:, t], 0, 1)
        gains[:, t] = np.where(is_open, gain, 0)
        age += 1
        is_open &= ((gain > 0.05) & (age * step < 1.5)) | (age * step < 0.03)
    return gains
