"""Array types used in signatures, and names and rates used everywhere.

Letters: b batch, F pixel frames, f latent frames, H W pixels, h w latent cells, c channels, l text
tokens, n any tokens, d width, M audio intervals (= latent frames), k audio tokens per interval,
s audio samples, W audio window (frames), L audio layers (sub-frames for log-mel).
"""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Key, UInt8

__all__ = [
    "BATCH_AXES",
    "SUBSETS",
    "TRACKS",
    "TRACK_RATE",
    "VIDEO_SOUND_RATE",
    "Array",
    "Bool",
    "Float",
    "Int",
    "Key",
    "Params",
    "UInt8",
    "control_tracks",
    "track_kind",
]

if TYPE_CHECKING:
    Array = jax.Array
else:
    Array = jax.Array | np.ndarray
    """What functions of jax take: NumPy's arrays are as good as its own. Type and shape are checked in the tests."""

BATCH_AXES = ("data", "fsdp")
"""Axes of a device mesh that batches are split over."""

TRACKS = ("speech", "effects", "music")
"""What a mix is separated into, and what steers a video."""


TRACK_RATE = 16_000
"""Samples a second of a track, Hz: what every audio encoder here takes."""

VIDEO_SOUND_RATE = 48_000
"""Samples a second of the sound in a video, Hz."""

SUBSETS = ("basic_face", "single_character", "multiple_characters", "sound_event", "visual_mood")
"""The five subsets of DEMIX, in the order in which they are trained (MTV section 3)."""


def control_tracks(num_speakers: int) -> tuple[str, ...]:
    """The tracks that a model of so many speakers takes; those of further speakers are `speech2`, `speech3`, ..."""
    return (TRACKS[0], *(f"{TRACKS[0]}{i}" for i in range(2, num_speakers + 1)), *TRACKS[1:])


def track_kind(name: str) -> str:
    """Which of `TRACKS` a track is of: that of every speaker is `speech`."""
    return name.rstrip("0123456789")


Params = dict[str, Any]
"""Flax variables: `{"params": nested dict of arrays}`, as `model.apply(params, ...)` takes them."""
