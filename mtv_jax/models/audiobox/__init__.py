"""Audiobox-aesthetics: ratings of any sound."""

from mtv_jax.models.audiobox.config import AXES, AudioboxConfig
from mtv_jax.models.audiobox.model import Audiobox

__all__ = ["AXES", "Audiobox", "AudioboxConfig"]
