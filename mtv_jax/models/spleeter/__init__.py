"""Spleeter: U-Nets that separate the spectrum of a sound into stems."""

from mtv_jax.models.spleeter.config import SpleeterConfig
from mtv_jax.models.spleeter.model import Spleeter

__all__ = ["Spleeter", "SpleeterConfig"]
