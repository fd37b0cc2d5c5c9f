"""AV-Align: do sounds begin when something moves? (TempoTokens `av_align.py`, as corrected in February 2025)

Onsets of the sound and peaks of the optical flow are matched one to one if they are less than a frame apart; the
score is matches over all events (intersection over union).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtv_jax.evaluation.metrics.base import Measured, video_mean, video_metric
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.io.motion import mean_flow
from mtv_jax.typing import Float, UInt8

VERSION = "av_align_v2"
"""What scores can be compared with: those of the same version."""
SAMPLE_RATE = 22050
_LEAST_MOTION = 0.1
"""Pixels a frame: weaker peaks of the mean flow are not events."""


@dataclass(frozen=True)
class Alignment:
    """The score of a video (0 to 1), and what it was counted from.

    A video with neither onsets nor peaks scores 1 by definition, which is not informative: such videos are counted
    separately (`onsets` and `peaks` are both 0).
    """

    score: float
    onsets: int
    peaks: int
    matches: int


def av_align(frames: UInt8[np.ndarray, "F H W 3"], fps: float, sound: Float[np.ndarray, "s"]) -> Alignment:
    """AV-Align of frames and their mono sound at `SAMPLE_RATE`."""
    return align(onset_times(sound), peak_times(motion(frames), fps), 1 / fps)


def align(onsets: Sequence[float], peaks: Sequence[float], tolerance: float) -> Alignment:
    """Greedy one-to-one matching of sorted times, seconds; a pair is less than `tolerance` apart."""
    free, matches = list(peaks), 0
    for onset in onsets:
        near = [peak for peak in free if abs(peak - onset) < tolerance]
        if near:
            free.remove(min(near, key=lambda peak: abs(peak - onset)))
            matches += 1
    union = len(onsets) + len(peaks) - matches
    return Alignment(matches / union if union else 1.0, len(onsets), len(peaks), matches)


def onset_times(samples: np.ndarray) -> list[float]:
    """Onsets of mono sound at 22050 Hz, seconds; librosa's detector with its defaults."""
    import librosa  # here, since importing it takes a second

    if not np.any(samples):
        return []
    strength = librosa.onset.onset_strength(y=samples, sr=SAMPLE_RATE)
    return [
        float(t) for t in librosa.onset.onset_detect(onset_envelope=strength, sr=SAMPLE_RATE, units="time")
    ]


def motion(frames: np.ndarray) -> np.ndarray:
    """Mean optical flow of each frame against the one before, pixels: uint8 [F H W 3] to [F].

    Farneback's flow on grey pictures; the first frame has the value of the second.
    """
    values = mean_flow(frames)
    return np.concatenate([values[:1], values])


def peak_times(values: np.ndarray, fps: float, *, least: float = _LEAST_MOTION) -> list[float]:
    """Times, seconds, at which the motion has a strict local maximum of at least `least` pixels."""
    inside = values[1:-1]
    peaks = (inside > values[:-2]) & (inside > values[2:]) & (inside >= least)
    return [(i + 1) / fps for i in np.flatnonzero(peaks)]


def _figures(rows: Sequence[Measured]) -> list[Figure]:
    if not rows:
        return []
    found = video_mean("av_align.score", [(row.group, row.values["score"]) for row in rows])
    empty = sum(1 for row in rows if row.values["onsets"] == 0 and row.values["peaks"] == 0)
    return [*found, Figure("av_align.without_events", float(empty), len(rows))]


AV_ALIGN = video_metric(_figures)
"""The mean score of videos, and how many of them have no events."""
