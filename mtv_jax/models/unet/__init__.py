"""The UNet of latent diffusion, of pictures and of videos: its blocks and how they are joined."""

from mtv_jax.models.unet.config import UNetConfig
from mtv_jax.models.unet.model import UNet

__all__ = ["UNet", "UNetConfig"]
