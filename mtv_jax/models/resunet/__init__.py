"""AudioSep's ResUNet: separates from a mix the sound that an embedding of words describes."""

from mtv_jax.models.resunet.config import ResUNetConfig
from mtv_jax.models.resunet.model import AudioSepResUNet

__all__ = ["AudioSepResUNet", "ResUNetConfig"]
