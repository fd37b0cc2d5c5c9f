"""What `separators.py` measures: pure functions of mono waves, float [s], at 16 kHz."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.signal import correlate, stft

from mtv_jax.evaluation.metrics.statistics import correlation
from mtv_jax.evaluation.theatre.readers import match_events
from mtv_jax.names import TRACK_RATE

FPS = 24
"""Video frames a second."""
LOUDNESS_POWER = 0.6
"""Of an RMS, to seem about as loud (Stevens' law)."""
MOST_LEAK_DB = 25
"""Mixes have -20 dBFS, and a track below -45 dBFS is silent anyhow."""
_BANDS = 16
_FRAME = TRACK_RATE // FPS


def si_sdr(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), dB, at least -30: a track without any truth."""
    estimate, truth = (np.asarray(x, np.float64) for x in (estimate, truth))
    target = truth * (estimate @ truth) / max(truth @ truth, 1e-12)
    error = estimate - target
    ratio = (target @ target) / max(error @ error, 1e-12)
    return float(10 * np.log10(max(ratio, 1e-3)))


def leakage(estimate: np.ndarray, truths: Mapping[str, np.ndarray]) -> dict[str, float]:
    """How much of each true track is in an estimate, dB: 0 if all of it is.

    The spectrum of the estimate is fitted by those of the true tracks, with a gain for each in each of 16 bands (least
    squares); the result is the level of the fitted part relative to the true track.
    """
    names = [name for name, wave in truths.items() if np.any(wave)]
    if not names:
        return {}
    seen = _spectrum(estimate)
    spectra = np.stack([_spectrum(truths[name]) for name in names])
    fitted, whole = np.zeros(len(names)), np.zeros(len(names))
    for band in np.array_split(np.arange(len(seen)), _BANDS):
        matrix = spectra[:, band].reshape(len(names), -1)
        gram = np.real(matrix.conj() @ matrix.T)
        energy = np.diag(gram)
        ridge = 1e-6 * energy.max(initial=1e-12) * np.eye(len(names))
        gains = np.linalg.solve(gram + ridge, np.real(matrix.conj() @ seen[band].ravel()))
        fitted += gains**2 * energy
        whole += energy
    return {
        name: float(10 * np.log10(f / w + 1e-12)) for name, f, w in zip(names, fitted, whole, strict=True)
    }


def envelope_correlation(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Correlation of the loudness of two sounds over video frames."""
    return correlation(frame_loudness(estimate), frame_loudness(truth))


def frame_loudness(wave: np.ndarray) -> np.ndarray:
    """RMS of each video frame to the power of 0.6, [F]."""
    whole = np.asarray(wave, np.float64)[: len(wave) // _FRAME * _FRAME].reshape(-1, _FRAME)
    return np.mean(whole**2, axis=1) ** (LOUDNESS_POWER / 2)


def onset_counts(found: Sequence[float], true: Sequence[float]) -> tuple[int, int, int]:
    """Onsets (seconds) that are found within a frame of a true one, all that are found, and all true ones."""
    frames = [tuple(int(time * FPS) for time in times) for times in (found, true)]
    return match_events(frames[0], frames[1]), len(found), len(true)


def delay(estimate: np.ndarray, truth: np.ndarray, most: int = 2000) -> int:
    """Samples by which an estimate is late: where its correlation with the truth is highest."""
    products = correlate(estimate, truth, mode="full", method="fft")
    middle = len(truth) - 1
    near = products[max(middle - most, 0) : middle + most + 1]
    return int(np.argmax(near)) - min(most, middle)


def agreement(taken: Sequence[bool], silent: Sequence[bool]) -> float:
    """Share of tracks that are taken for silent exactly if they are."""
    return float(np.mean(np.asarray(taken) == np.asarray(silent)))


def best_leak(below: Sequence[float], silent: Sequence[bool]) -> float | None:
    """The whole number of dB below the mix from which a track is best taken for silent, at most `MOST_LEAK_DB`.

    `below` is how far the tracks that a separator made are below their mixes, `silent` whether they are silent in
    truth; both kinds count equally. Of equally good distances it is the greatest, which takes the fewest tracks for
    silent. None if either kind is missing.
    """
    distances, truly = np.asarray(below), np.asarray(silent)
    if truly.all() or not truly.any():
        return None

    def balanced(leak: float) -> float:
        taken = distances > leak
        return float(np.mean([np.mean(taken[truly]), np.mean(~taken[~truly])]))

    return max(range(1, MOST_LEAK_DB + 1), key=lambda leak: (round(balanced(leak), 9), leak))


def _spectrum(wave: np.ndarray) -> np.ndarray:
    """[bins, windows] of 64 ms."""
    return stft(np.asarray(wave, np.float64), nperseg=1024)[2]
