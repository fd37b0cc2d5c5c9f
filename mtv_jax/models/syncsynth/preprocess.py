"""Inputs of the audio tower: log-mel levels relative to the loudest band of the clip."""

from fractions import Fraction

import numpy as np

from mtv_jax.models.mel import log_mel_features
from mtv_jax.models.syncsynth.config import MEL
from mtv_jax.typing import Float

_RANGE = 0.5 * MEL.floor_db / 100  # of the scaled levels: 50 dB below a clip's loudest band is silence


def sound_levels(
    wave: Float[np.ndarray, "s"], num_frames: int, fps: float | Fraction
) -> Float[np.ndarray, "F L m"]:
    """Log-mel levels of mono sound at 16 kHz, scaled to 0..1: 1 is the clip's loudest band, 0 is 50 dB below it.

    Silence is 0 throughout.
    """
    levels = log_mel_features(wave, num_frames, fps, MEL)
    if levels.max(initial=-1.0) <= -1:
        return np.zeros_like(levels)
    return np.clip((levels - levels.max()) / -_RANGE + 1, 0, 1)
