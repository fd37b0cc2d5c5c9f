"""AV-Align as published first (TempoTokens `av_align.py`, 2023), for comparison with tables of before February 2025.

It differs from `metrics/av_align.py` in two respects: several onsets may be matched with one peak of the motion, so
that the score can be above 1, and peaks may be of any height, so that noise in a still picture has some.
"""

from collections.abc import Sequence

import numpy as np

from mtv_jax.evaluation.metrics.av_align import Alignment, motion, onset_times, peak_times
from mtv_jax.evaluation.metrics.scores import mean_score
from mtv_jax.typing import Float, UInt8

VERSION = "av_align_v1"
"""What scores can be compared with: those of the same version."""


def av_align_v1(frames: UInt8[np.ndarray, "F H W 3"], fps: float, sound: Float[np.ndarray, "s"]) -> Alignment:
    """The first AV-Align of frames and their mono sound at 22050 Hz. Raises UserError if OpenCV is not installed."""
    return align_v1(onset_times(sound), peak_times(motion(frames), fps, least=0.0), 1 / fps)


def align_v1(onsets: Sequence[float], peaks: Sequence[float], tolerance: float) -> Alignment:
    """Counts the onsets, seconds, that are less than `tolerance` from any peak.

    The original divides by zero without onsets and peaks; such a video scores 1 here, as in the second version.
    """
    matches = sum(any(abs(onset - peak) < tolerance for peak in peaks) for onset in onsets)
    union = len(onsets) + len(peaks) - matches
    return Alignment(matches / union if union else 1.0, len(onsets), len(peaks), matches)


AV_ALIGN_V1 = mean_score("av_align.score_v1")
"""The mean score of videos."""
