"""SyncSynth: a small learned score of how well a mouth keeps time with a voice.

It is fitted on a separate renderer and voice, and complements the readers that are not learned. It is for
measuring only: no generator is trained on it, and no checkpoint is selected by it. Its network is
`mtv_jax.models.syncsynth`.
"""

from mtv_jax.evaluation.syncsynth.figures import Heard, hear_clip, hear_others, sync_metric
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
    "Heard",
    "SyncSynth",
    "agreements",
    "hear_clip",
    "hear_others",
    "load_syncsynth",
    "other_speech",
    "save_syncsynth",
    "sync_metric",
    "sync_test",
]
