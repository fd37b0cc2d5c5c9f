"""The demixing filter: do two independent separators agree about a clip? (MTV section 3.2)

One separator gives speech, effects and music, the other speech and the rest. The speech tracks are compared always;
the rest is compared with the effects if there is no music, and with the music if there are no effects. In a clip with
both, or neither, nothing is comparable with the rest.

The paper compares by the L1 norm and does not say of what. Here it is that of log-magnitude spectrograms below 11 kHz,
where Spleeter's output ends, each relative to its own level, so that the gain of a separator does not count.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mtv_jax.curation.roles import Evidence, scores
from mtv_jax.io.audio import read_audio
from mtv_jax.io.levels import rms_dbfs

RATE = 22_050
"""Sample rate of the comparison, Hz: its spectrum ends at 11 kHz."""
_WINDOW, _HOP = 1024, 512
RANGE_DB = 40.0
"""Cells more than this below the level of their track are equal to silence: residue of the other tracks is there."""


def demixing_scores(
    first: Mapping[str, Path], second: Mapping[str, Path], silent_dbfs: Mapping[str, float]
) -> Evidence:
    """`compare_separations` of the track files of two separators."""
    return compare_separations(_read(first), _read(second), silent_dbfs)


def _read(tracks: Mapping[str, Path]) -> dict[str, np.ndarray]:
    return {name: read_audio(path, RATE) for name, path in tracks.items()}


def compare_separations(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], silent_dbfs: Mapping[str, float]
) -> Evidence:
    """How much two separators of one mix disagree, 0 (equal spectra) to 1 (nothing in common).

    Args:
      first: `speech`, `effects` and `music`, float [s] at `RATE`.
      second: `speech` and `rest`.
      silent_dbfs: RMS below which a track of the first separator counts as silent, by name: -45 dBFS in MTV, or what
        the separator leaves in a track of a mix without such sound.

    Returns:
      `speech`: of the speech tracks; `others`: of the rest and the track that is alone in it, None if none is;
      `compared`: that track, `effects` or `music`, or None.
    """
    silent = {name: rms_dbfs(samples) < silent_dbfs[name] for name, samples in first.items()}
    without_speech = silent["speech"] and rms_dbfs(second["speech"]) < silent_dbfs["speech"]
    speech = 0.0 if without_speech else spectral_distance(first["speech"], second["speech"])
    compared = _alone_in_rest(silent)
    others = None if compared is None else spectral_distance(first[compared], second["rest"])
    return scores(speech=speech, others=others, compared=compared)


def _alone_in_rest(silent: Mapping[str, bool]) -> str | None:
    # If both are silent there is no track that the rest should be. A loud rest then differs in the speech as well,
    # since the tracks of either separator add up to the mix.
    if silent["effects"] == silent["music"]:
        return None
    return "effects" if silent["music"] else "music"


def spectral_distance(a: np.ndarray, b: np.ndarray) -> float:
    """L1 distance of the level-normalised log-magnitude spectrograms of two sounds [s] at `RATE`, 0 to 1.

    Magnitudes are in dB above a floor `RANGE_DB` below the sound's own level, and 0 below it. The sum of their absolute
    differences is divided by that of the larger of both, so that pauses do not count. It is 0 for two silent sounds.
    """
    first, second = (_spectrogram(sound) for sound in (a, b))
    larger = np.maximum(first, second).sum()
    return float(np.abs(first - second).sum() / larger) if larger else 0.0


def _spectrogram(samples: np.ndarray) -> np.ndarray:
    """dB above the floor [frames, frequencies]."""
    padded = np.pad(samples, (0, _WINDOW - len(samples) % _HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW))) ** 2
    level = power.mean()
    if level == 0:
        return np.zeros_like(power)
    return np.maximum(10 * np.log10(np.maximum(power / level, 1e-12)) + RANGE_DB, 0.0)
