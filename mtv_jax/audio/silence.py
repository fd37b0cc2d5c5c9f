"""Whether a sound can be heard at all: a track that was given and is silent is most likely a mistake."""

import os

import numpy as np

from mtv_jax.io.notes import note

_PEAK = 10 ** (-60 / 20)
"""Highest sample of silence, -60 dBFS: dither and the hiss of an open microphone stay below."""


def is_silent(samples: np.ndarray) -> bool:
    """Whether no sample of a sound in +-1 is above -60 dBFS."""
    return float(np.abs(samples).max(initial=0)) < _PEAK


def note_silence(name: str, file: str | os.PathLike, samples: np.ndarray, sample_rate: int) -> None:
    """Notes (`mtv_jax.io.notes`) a track and its file if what is heard of it, `samples`, is silent."""
    if is_silent(samples):
        seconds = len(samples) / sample_rate
        note(f"{name}: the track in {os.fspath(file)} is silent (the {seconds:.2f} s that are heard)")
