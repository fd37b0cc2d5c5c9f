"""Stable Diffusion's UNet, of pictures (Rombach et al., 2022)."""

from mtv_jax.models.unet2d.config import UNet2DConfig
from mtv_jax.models.unet2d.model import UNet2D

__all__ = ["UNet2D", "UNet2DConfig"]
