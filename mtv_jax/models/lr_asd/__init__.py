"""LR-ASD: whether the person whose face is seen says what is heard, frame by frame."""

from mtv_jax.models.lr_asd.config import LRASDConfig
from mtv_jax.models.lr_asd.model import LRASD

__all__ = ["LRASD", "LRASDConfig"]
