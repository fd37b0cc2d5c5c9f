"""The theatre: short synthetic clips in which speech, effects and music are seen, each in its own way.

Actors' mouths follow speech, props react to effects, the stage's colours follow music. A clip is decided by
(seed, index), and by real sounds if any are brought, down to the byte; `render_clip` makes one.
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
