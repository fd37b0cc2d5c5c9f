"""The tracks that a pipeline gets from a single sound file: mixed, and optionally separated again."""

from collections.abc import Mapping

import numpy as np

from mtv_jax.audio.demix import demix, find_demixer
from mtv_jax.names import TRACK_RATE

RAW = "raw"
"""In place of the name of a demixer: the mix itself as every track, which any demixer should improve on."""


def check_mixed(way: str) -> None:
    """Raises UserError unless `way` is `RAW` or the name of a demixer."""
    if way != RAW:
        find_demixer(way)


def mixed_tracks(tracks: Mapping[str, np.ndarray], way: str | None) -> dict[str, np.ndarray]:
    """Tracks float32 [s] at 16 kHz that a demixer separates from their sum; unchanged if `way` is None.

    Unlike in sampling, the loudness of speech is not normalised.
    """
    if way is None:
        return dict(tracks)
    mix = np.sum(list(tracks.values()), axis=0, dtype=np.float32)
    return dict.fromkeys(tracks, mix) if way == RAW else demix(mix, TRACK_RATE, way).tracks
