"""SyncSynth's network: two small towers that embed pictures of a mouth and the sound of a voice, frame by frame."""

from mtv_jax.models.syncsynth.config import CONTEXT, LEVELS, SIDE, SyncSynthConfig
from mtv_jax.models.syncsynth.model import SyncTowers, agreement
from mtv_jax.models.syncsynth.preprocess import sound_levels

__all__ = ["CONTEXT", "LEVELS", "SIDE", "SyncSynthConfig", "SyncTowers", "agreement", "sound_levels"]
