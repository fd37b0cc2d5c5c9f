"""CogVideoX's expert-AdaLN diffusion transformer."""

from mtv_jax.models.dit.config import DiTConfig
from mtv_jax.models.dit.model import DiT

__all__ = ["DiT", "DiTConfig"]
