"""The effects mask: a small network that tells sound effects from music."""

from mtv_jax.models.effects_mask.config import BINS, HOP, N_FFT, SAMPLE_RATE, EffectsMaskConfig
from mtv_jax.models.effects_mask.model import EffectsMask, reach
from mtv_jax.models.effects_mask.preprocess import WINDOW, levels, spectrum, waveform

__all__ = [
    "BINS",
    "HOP",
    "N_FFT",
    "SAMPLE_RATE",
    "WINDOW",
    "EffectsMask",
    "EffectsMaskConfig",
    "levels",
    "reach",
    "spectrum",
    "waveform",
]
