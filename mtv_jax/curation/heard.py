"""The sound of a clip as networks hear that are given one sound, not its tracks."""

from pathlib import Path

import numpy as np

from mtv_jax.curation.stages import MIX
from mtv_jax.io.audio import read_audio
from mtv_jax.names import TRACK_RATE
from mtv_jax.typing import Float

_NO_SPEECH = ("effects.flac", "music.flac")
"""All of the sound but speech: the tracks of a separator add up to the mix."""


def heard(folder: Path, *, without_speech: bool) -> Float[np.ndarray, "s"]:
    """The mix of the clip in a folder, or its tracks but speech, mono float32 at 16 kHz."""
    if not without_speech:
        return read_audio(folder / MIX, TRACK_RATE)
    effects, music = (read_audio(folder / name, TRACK_RATE) for name in _NO_SPEECH)
    return effects + music
