"""ImageBind: pictures, sounds and texts in one space (Girdhar et al., 2023)."""

from mtv_jax.models.imagebind.config import ImageBindAudioConfig, ImageBindConfig, TrunkConfig
from mtv_jax.models.imagebind.model import Encoding, ImageBind, ImageBindAudio
from mtv_jax.models.imagebind.preprocessing import audio_clips, image_pixels, log_mels, video_views

__all__ = [
    "Encoding",
    "ImageBind",
    "ImageBindAudio",
    "ImageBindAudioConfig",
    "ImageBindConfig",
    "TrunkConfig",
    "audio_clips",
    "image_pixels",
    "log_mels",
    "video_views",
]
