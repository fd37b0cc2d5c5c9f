"""MTV: the diffusion transformer with its MST-ControlNet."""

from mtv_jax.models.mtv.config import MTVConfig
from mtv_jax.models.mtv.model import MTV

__all__ = ["MTV", "MTVConfig"]
