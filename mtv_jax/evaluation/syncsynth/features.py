"""What SyncSynth's towers are given: the lower half of a head, grey and small, and levels of the sound's bands."""

from fractions import Fraction

import numpy as np

from mtv_jax.evaluation.crops import crop
from mtv_jax.evaluation.syncsynth.renderer import SIDE
from mtv_jax.models.mel import MelConfig, log_mel_features
from mtv_jax.theatre.plan import Place

_MEL = MelConfig(bins=32, subframes=4, min_hz=50.0)
LEVELS = (_MEL.subframes, _MEL.bins)
"""Levels of a frame's sound: times in the frame, bands."""
_RANGE = 0.5 * _MEL.floor_db / 100  # of the scaled levels: 50 dB below a clip's loudest band is silence
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def face_pictures(frames: np.ndarray, place: Place) -> np.ndarray:
    """From the eyes to below the chin of a head: [F H W 3] in 0..255 to float32 [F, SIDE, SIDE]."""
    y = place.y + 0.4 * place.half_height
    reach = (0.9 * place.half_width, 0.75 * place.half_height)
    box = (place.x - reach[0], y - reach[1], place.x + reach[0], y + reach[1])
    return crop(frames, box, (SIDE, SIDE)) @ _GREY


def sound_levels(wave: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
    """Log-mel levels in 0..1 by the clip's loudest band: float32 [s] at 16 kHz to [F, *LEVELS]; silence is 0."""
    levels = log_mel_features(wave, num_frames, fps, _MEL)
    if levels.max(initial=-1.0) <= -1:
        return np.zeros_like(levels)
    return np.clip((levels - levels.max()) / -_RANGE + 1, 0, 1)
