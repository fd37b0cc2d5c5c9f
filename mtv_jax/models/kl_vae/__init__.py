"""Stable Diffusion's autoencoder of pictures, frame by frame: HxW pixels to H/8 x W/8 latents, and back."""

from mtv_jax.models.kl_vae.config import KLVAEConfig
from mtv_jax.models.kl_vae.model import AutoencoderKL

__all__ = ["AutoencoderKL", "KLVAEConfig"]
