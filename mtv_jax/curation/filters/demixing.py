"""The demixing filter: do two independent separators agree about a clip? (MTV section 3.2)

One separator gives speech, effects and music, the other speech and the rest. The speech tracks are compared always;
the rest is compared with the effects if there is no music, and with the music if there are no effects. In a clip with
both, or neither, nothing is comparable with the rest.

The paper compares by the L1 norm and does not say of what. Here it is that of log-magnitude spectrograms below 11 kHz,
where Spleeter's output ends, each relative to its own level, so that the gain of a separator does not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import soxr

from mtv_jax.io.levels import SILENT_DBFS, rms_dbfs

RATE = 22_050
"""Sample rate of the comparison, Hz: its spectrum ends at 11 kHz."""
_WINDOW, _HOP = 1024, 512
RANGE_DB = 40.0
"""Cells more than this below the level of their track are equal to silence: residue of the other tracks is there."""


@dataclass(frozen=True)
class DemixingScores:
    """Disagreement of two separators, 0 (the same spectra) to 1 (nothing in common).

    Attributes:
      speech: of the speech tracks.
      rest: of the second separator's rest and the track `rest_against`; None if nothing is comparable.
      rest_against: the track that is alone in the rest of the mix; None if there is none or more than one.
    """

    speech: float
    rest: float | None
    rest_against: Literal["effects", "music"] | None


def demixing_scores(
    three: Mapping[str, np.ndarray],
    two: Mapping[str, np.ndarray],
    sample_rate: int,
    *,
    silent_dbfs: Mapping[str, float] | None = None,
) -> DemixingScores:
    """Compares the tracks of two separators of the same mix.

    Args:
      three: `speech`, `effects` and `music`, float [s] or [s, channels].
      two: `speech` and `rest`.
      sample_rate: of all of them, Hz.
      silent_dbfs: RMS below which a track of `three` counts as silent, by name: what the separator leaves in a track
        of a mix without such sound. The default is -45 dBFS (MTV) for each.
    """
    bounds = {name: SILENT_DBFS for name in three} | dict(silent_dbfs or {})
    silent = {name: rms_dbfs(samples) < bounds[name] for name, samples in three.items()}
    against = _alone(silent)
    no_speech = silent["speech"] and rms_dbfs(two["speech"]) < bounds["speech"]
    speech = 0.0 if no_speech else spectral_distance(three["speech"], two["speech"], sample_rate)
    rest = None if against is None else spectral_distance(three[against], two["rest"], sample_rate)
    return DemixingScores(speech, rest, against)


def _alone(silent: Mapping[str, bool]) -> Literal["effects", "music"] | None:
    # If both are silent there is no track that the rest should be. A loud rest then differs in the speech as well,
    # since the tracks of either separator add up to the mix.
    if silent["effects"] == silent["music"]:
        return None
    return "effects" if silent["music"] else "music"


def spectral_distance(a: np.ndarray, b: np.ndarray, sample_rate: int) -> float:
    """L1 distance of the level-normalised log-magnitude spectrograms of two sounds of equal length, 0 to 1.

    Magnitudes are in dB above a floor `RANGE_DB` below the sound's own level, and 0 below it. The sum of their absolute
    differences is divided by that of the larger of both, so that pauses do not count. It is 0 for two silent sounds.
    """
    first, second = (_spectrogram(sound, sample_rate) for sound in (a, b))
    larger = np.maximum(first, second).sum()
    return float(np.abs(first - second).sum() / larger) if larger else 0.0


def _spectrogram(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """dB above the floor [frames, frequencies]."""
    mono = np.asarray(sound, np.float32).reshape(len(sound), -1).mean(axis=1)
    samples = soxr.resample(mono, sample_rate, RATE)
    padded = np.pad(samples, (0, _WINDOW - len(samples) % _HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW))) ** 2
    level = power.mean()
    if level == 0:
        return np.zeros_like(power)
    return np.maximum(10 * np.log10(np.maximum(power / level, 1e-12)) + RANGE_DB, 0.0)
