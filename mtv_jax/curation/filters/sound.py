"""Level and clipping of a clip's sound."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtv_jax.io.levels import rms_dbfs

_FULL_SCALE = 10 ** (-0.1 / 20)
"""Magnitude from which a sample counts as clipped, -0.1 dBFS: lossy codecs move clipped samples a little."""


@dataclass(frozen=True)
class SoundScores:
    """Attributes:
    rms_dbfs: level over the whole clip, dBFS (-120: digital silence).
    clipped: share of samples at full scale, 0 to 1.
    """

    rms_dbfs: float
    clipped: float


def sound_scores(samples: np.ndarray) -> SoundScores:
    """The scores of a sound, float [s] or [s, channels] in +-1."""
    return SoundScores(rms_dbfs(samples), clipping_share(samples))


def track_levels(tracks: Mapping[str, np.ndarray]) -> dict[str, float]:
    """RMS over the whole clip of each track, dBFS."""
    return {name: rms_dbfs(samples) for name, samples in tracks.items()}


def clipping_share(samples: np.ndarray) -> float:
    """Share of samples within 0.1 dB of full scale or above it; 0 without samples."""
    return float(np.mean(np.abs(samples) >= _FULL_SCALE)) if np.size(samples) else 0.0
