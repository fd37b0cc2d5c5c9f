"""Detects silent tracks: a track that was given but is silent is most likely an error."""

import os

import numpy as np

from mtv_jax.io.notes import note
from mtv_jax.names import track_kind

_PEAK = 10 ** (-60 / 20)
"""Peak of silence, -60 dBFS: dither and microphone hiss stay below it."""


def is_silent(samples: np.ndarray) -> bool:
    """Whether no sample of a sound in +-1 is above -60 dBFS."""
    return float(np.abs(samples).max(initial=0)) < _PEAK


def note_silence(name: str, file: str | os.PathLike, samples: np.ndarray, sample_rate: int) -> None:
    """Logs a note (`mtv_jax.io.notes`) that names a track and its file if the `samples` used of it are silent.

    Those of speech are silent, too, if they were too quiet for it (`mtv_jax.audio.loudness`).
    """
    if is_silent(samples):
        seconds = len(samples) / sample_rate
        what = "silent or too quiet for speech" if track_kind(name) == "speech" else "silent"
        note(f"{name}: the track in {os.fspath(file)} is {what} (the {seconds:.2f} s that are used)")
