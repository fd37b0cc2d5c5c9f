"""Level and clipping of a clip's sound."""

from pathlib import Path

import numpy as np

from mtv_jax.curation.roles import Evidence, scores
from mtv_jax.io.audio import read_audio
from mtv_jax.io.levels import rms_dbfs

_FULL_SCALE = 10 ** (-0.1 / 20)
"""Magnitude from which a sample counts as clipped, -0.1 dBFS: lossy codecs move clipped samples a little."""


def sound_scores(mix: Path) -> Evidence:
    """Scores of a sound file: `dbfs`, its RMS over the whole clip (-120: digital silence), and `clipped`."""
    samples = read_audio(mix, None, mono=False)
    return scores(dbfs=rms_dbfs(samples), clipped=clipping_share(samples))


def clipping_share(samples: np.ndarray) -> float:
    """Share of samples within 0.1 dB of full scale or above it, 0 to 1; 0 without samples."""
    return float(np.mean(np.abs(samples) >= _FULL_SCALE)) if np.size(samples) else 0.0
