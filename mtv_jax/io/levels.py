"""Levels of sound in decibels of full scale (dBFS), and which one counts as silent."""

from typing import Any

import numpy as np

FLOOR_DBFS = -120.0
"""Level of digital silence, and the lowest that is reported."""

SILENT_DBFS = -45.0
"""RMS below which a track counts as silent (MTV section 3.2)."""


def dbfs(mean_square: np.ndarray | float) -> Any:
    """Levels of sounds by the mean squares of their samples (full scale is +-1), at least `FLOOR_DBFS`."""
    return 10 * np.log10(np.maximum(mean_square, 10 ** (FLOOR_DBFS / 10)))


def rms_dbfs(samples: np.ndarray) -> float:
    """Level of a sound: 20 log10 of its RMS over all samples; that of no samples is `FLOOR_DBFS`."""
    return float(dbfs(np.mean(np.square(samples, dtype=np.float64)))) if np.size(samples) else FLOOR_DBFS
