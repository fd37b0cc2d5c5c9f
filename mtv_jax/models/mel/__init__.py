"""Log-mel features per video frame: the audio encoder without weights."""

from mtv_jax.models.mel.config import MelConfig
from mtv_jax.models.mel.model import log_mel_features

__all__ = ["MelConfig", "log_mel_features"]
