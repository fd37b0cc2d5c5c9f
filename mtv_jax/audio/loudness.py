"""Normalises the loudness of speech to that of the training data, so that lip motion does not depend on it.

What is too quiet to be speech becomes exact silence, as in the pauses of the training data: an encoder may have a gain
of its own (wav2vec 2.0 scales any sound to unit variance).
"""

import numpy as np
from jaxtyping import Float

from mtv_jax.io.levels import FLOOR_DBFS, dbfs

SPEECH_DBFS = -20.7
"""Target level of loud frames of speech, from the theatre's medians: synthetic -21.8, recorded -19.7."""
_CLOSE_DB = 3.0
"""Deviation within which speech is unchanged: the theatre's clips vary by as much, and their mouths with them."""
_SILENCE_DBFS = -55.0
"""Level of loud frames below which a sound is not speech. It limits the gain to 35 dB."""
_FAINT_DBFS = -50.0
_FAINT_RANGE_DB = 24.0
"""Below this level speech has pauses that are this much quieter than loud frames (a bundled voice 31); otherwise the
sound is noise or traces of music: at an RMS of -60 dBFS the theatre's music reaches -54.6 dBFS, with a range of 17."""
_RANGE_DB = 9.0
"""Minimum range from pauses to loud frames of speech; white noise has .6, pink noise 5, a voice in the theatre 17."""
_LEAK_DB = 10.0
"""Distance below the mix at which the speech track counts as residue of a mix without speech (true of 11 of 14 theatre
clips without speech, and of 1 of 48 with)."""
_FRAME_SECONDS = 0.04
_ACTIVE_DB = 40.0
"""Frames further below the loudest one are pauses, and do not count, since a file may have any number of them."""


def normalize_speech(
    samples: Float[np.ndarray, " s"], sample_rate: int, mix: Float[np.ndarray, " s"] | None = None
) -> Float[np.ndarray, " s"]:
    """Scales speech, float32 [s], by one gain to the level of the training data (`SPEECH_DBFS` +- `_CLOSE_DB`).

    A sound below -55 dBFS, and faint noise or music, become zeros. Louder steady noise, and residue of the
    `mix` that the speech was separated from, are unchanged.
    """
    levels = _frame_levels(samples, sample_rate)
    loud, pause = _loud(levels), float(np.quantile(levels, 0.1))
    if loud < _SILENCE_DBFS or (loud < _FAINT_DBFS and loud - pause < _FAINT_RANGE_DB):
        return np.zeros_like(samples)
    if loud - pause < _RANGE_DB:
        return samples
    if mix is not None and loud < _loud(_frame_levels(mix, sample_rate)) - _LEAK_DB:
        return samples
    gain = SPEECH_DBFS - loud
    return samples if abs(gain) <= _CLOSE_DB else samples * np.float32(10 ** (gain / 20))


def _loud(levels: np.ndarray) -> float:
    """Level of the loudest 5 % of the frames that are not pauses, in dBFS."""
    return float(np.quantile(levels[levels >= levels.max() - _ACTIVE_DB], 0.95))


def _frame_levels(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """RMS of each frame in dBFS, at least -120; a sound shorter than a frame counts as silence."""
    step = max(round(_FRAME_SECONDS * sample_rate), 1)
    whole = np.asarray(samples, np.float64)[: len(samples) // step * step].reshape(-1, step)
    return dbfs((whole**2).mean(axis=1)) if len(whole) else np.array([FLOOR_DBFS])
