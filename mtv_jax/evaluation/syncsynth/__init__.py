"""SyncSynth: a small learned score of how well a mouth keeps time with a voice.

It is fitted on a renderer and a voice of its own, and stands beside the readers that are not learned. It is for
measuring only: no generator is trained on it, and no checkpoint chosen by it.
"""

from mtv_jax.evaluation.syncsynth.figures import SYNC_CLAIM, Heard, hear_clip, hear_others, sync_figures
from mtv_jax.evaluation.syncsynth.instrument import (
    NULLS,
    SyncSynth,
    agreements,
    load_syncsynth,
    other_speech,
    save_syncsynth,
    sync_test,
)

__all__ = [
    "NULLS",
    "SYNC_CLAIM",
    "Heard",
    "SyncSynth",
    "agreements",
    "hear_clip",
    "hear_others",
    "load_syncsynth",
    "other_speech",
    "save_syncsynth",
    "sync_figures",
    "sync_test",
]
