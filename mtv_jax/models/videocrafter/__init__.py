"""VideoCrafter2's UNet, of videos (Chen et al., 2024)."""

from mtv_jax.models.videocrafter.config import VideoCrafterConfig
from mtv_jax.models.videocrafter.model import VideoCrafterUNet

__all__ = ["VideoCrafterConfig", "VideoCrafterUNet"]
