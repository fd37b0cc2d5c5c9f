"""Whether a sound can be heard at all: a track that was given and is silent is most likely a mistake."""

import logging
import os

import numpy as np

_PEAK = 10 ** (-60 / 20)
"""Highest sample of silence, -60 dBFS: dither and the hiss of an open microphone stay below."""

log = logging.getLogger(__name__)


def is_silent(samples: np.ndarray) -> bool:
    """Whether no sample of a sound in +-1 is above -60 dBFS."""
    return float(np.abs(samples).max(initial=0)) < _PEAK


def note_silence(name: str, file: str | os.PathLike, samples: np.ndarray, sample_rate: int) -> None:
    """Logs a warning that names a track and its file if what is heard of it, `samples`, is silent."""
    if is_silent(samples):
        seconds = len(samples) / sample_rate
        log.warning(
            "%s: the track in %s is silent (the %.2f s that are heard)", name, os.fspath(file), seconds
        )
