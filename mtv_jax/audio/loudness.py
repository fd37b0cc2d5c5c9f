"""Brings speech to the level of training, so that a quiet recording opens mouths as wide as a loud one."""

import numpy as np

from mtv_jax.io.levels import FLOOR_DBFS, dbfs
from mtv_jax.typing import Float

SPEECH_DBFS = -20.7
"""Of loud frames of speech: the middle of the theatre's, synthetic -21.8, recorded -19.7 (medians)."""
_CLOSE_DB = 3.0
"""By which speech may differ and is left alone: so do the theatre's own clips, whose mouths open as they are loud."""
_SILENCE_DBFS = -55.0
"""Of loud frames: what is fainter is no speech. So nothing is raised by more than 35 dB."""
_RANGE_DB = 9.0
"""By which loud frames of speech exceed its pauses; white noise has .6, pink noise 5, a voice in the theatre 17."""
_LEAK_DB = 10.0
"""By which what leaked into the speech of a mix without any is below the mix (11 of 14 theatre clips; with speech 1 of
48)."""
_FRAME_SECONDS = 0.04
_ACTIVE_DB = 40.0
"""Frames below the loudest by more are pauses, of which a file may have any number."""


def normalize_speech(
    samples: Float[np.ndarray, " s"], sample_rate: int, mix: Float[np.ndarray, " s"] | None = None
) -> Float[np.ndarray, " s"]:
    """Speech, float32 [s], by one gain brought to the level of training (`SPEECH_DBFS`, give or take `_CLOSE_DB`).

    Silence (below -55 dBFS), steady noise, and what leaked from the rest of the `mix` that it was separated from stay
    as they are.
    """
    levels = _frame_levels(samples, sample_rate)
    loud, pause = _loud(levels), float(np.quantile(levels, 0.1))
    if loud < _SILENCE_DBFS or loud - pause < _RANGE_DB:
        return samples
    if mix is not None and loud < _loud(_frame_levels(mix, sample_rate)) - _LEAK_DB:
        return samples
    gain = SPEECH_DBFS - loud
    return samples if abs(gain) <= _CLOSE_DB else samples * np.float32(10 ** (gain / 20))


def _loud(levels: np.ndarray) -> float:
    """Level of the loudest twentieth of the frames that are no pauses, dBFS."""
    return float(np.quantile(levels[levels >= levels.max() - _ACTIVE_DB], 0.95))


def _frame_levels(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """RMS of each frame in dBFS, at least -120; of less than a frame: that of silence."""
    step = max(round(_FRAME_SECONDS * sample_rate), 1)
    whole = np.asarray(samples, np.float64)[: len(samples) // step * step].reshape(-1, step)
    return dbfs((whole**2).mean(axis=1)) if len(whole) else np.array([FLOOR_DBFS])
