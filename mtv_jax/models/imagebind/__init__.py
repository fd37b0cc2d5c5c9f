"""ImageBind: pictures, sounds and texts in one space (Girdhar et al., 2023)."""

from mtv_jax.models.imagebind.config import ImageBindConfig, TrunkConfig
from mtv_jax.models.imagebind.model import Encoding, ImageBind
from mtv_jax.models.imagebind.preprocessing import audio_clips, image_pixels, video_views

__all__ = [
    "Encoding",
    "ImageBind",
    "ImageBindConfig",
    "TrunkConfig",
    "audio_clips",
    "image_pixels",
    "video_views",
]
