"""The theatre: short synthetic clips in which speech, effects and music are each visible in their own way.

Actors' mouths follow speech, props react to effects, and the colours of the stage follow music. A clip is determined by
(seed, index), and by the recordings that are passed, down to the byte; `render_clip` makes one.

NumPy only, no networks; everything else in the library may import it.
"""

from mtv_jax.theatre.clip import (
    TheatreClip,
    Truth,
    Words,
    render_clip,
    render_frames,
    render_tracks,
)
from mtv_jax.theatre.plan import EVALUATION_SEEDS, ClipPlan, TheatreConfig, plan_clip
from mtv_jax.theatre.recordings import SoundLibrary
from mtv_jax.theatre.sounds import Recordings

__all__ = [
    "EVALUATION_SEEDS",
    "ClipPlan",
    "Recordings",
    "SoundLibrary",
    "TheatreClip",
    "TheatreConfig",
    "Truth",
    "Words",
    "plan_clip",
    "render_clip",
    "render_frames",
    "render_tracks",
]
