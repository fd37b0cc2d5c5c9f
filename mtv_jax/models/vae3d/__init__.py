"""CogVideoX's causal 3D autoencoder: 1+4k frames of HxW to 1+k latents of H/8 x W/8, and back."""

from mtv_jax.models.vae3d.config import AutoencoderConfig, VAE3DConfig
from mtv_jax.models.vae3d.latents import LatentScale
from mtv_jax.models.vae3d.model import VAE3D, VideoAutoencoder
from mtv_jax.models.vae3d.streaming import decode_pieces, decode_stream, encode_stream
from mtv_jax.models.vae3d.tiling import Tiling, tiled_decode, tiled_decode_pieces, tiled_encode

__all__ = [
    "VAE3D",
    "AutoencoderConfig",
    "LatentScale",
    "Tiling",
    "VAE3DConfig",
    "VideoAutoencoder",
    "decode_pieces",
    "decode_stream",
    "encode_stream",
    "tiled_decode",
    "tiled_decode_pieces",
    "tiled_encode",
]
