"""The tracks that a pipeline gets from a single sound file: mixed, and optionally separated again."""

from collections.abc import Mapping

import numpy as np

from mtv_jax.audio.separation.sections import separate
from mtv_jax.audio.separation.separators import find_separator
from mtv_jax.names import TRACK_RATE, TRACKS

RAW = "raw"
"""In place of the name of a separator: the mix itself as every track, which any separator should improve on."""


def check_mixed(way: str) -> None:
    """Raises UserError unless `way` is `RAW` or the name of a separator."""
    if way != RAW:
        find_separator(way, TRACKS)


def mixed_tracks(tracks: Mapping[str, np.ndarray], way: str | None) -> dict[str, np.ndarray]:
    """Tracks float32 [s] at 16 kHz that a separator separates from their sum; unchanged if `way` is None.

    Unlike in sampling, the loudness of speech is not normalised.
    """
    if way is None:
        return dict(tracks)
    mix = np.sum(list(tracks.values()), axis=0, dtype=np.float32)
    if way == RAW:
        return dict.fromkeys(tracks, mix)
    return separate(mix, TRACK_RATE, find_separator(way, TRACKS)).tracks
