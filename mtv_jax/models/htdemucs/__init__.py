"""Hybrid Transformer Demucs, a network that separates a sound into stems."""

from mtv_jax.models.htdemucs.config import HTDemucsConfig
from mtv_jax.models.htdemucs.model import HTDemucs

__all__ = ["HTDemucs", "HTDemucsConfig"]
