"""VideoCLIP-XL: videos and long descriptions in one space (Wang et al., 2024)."""

from mtv_jax.models.videoclip_xl.config import VideoCLIPXLConfig
from mtv_jax.models.videoclip_xl.model import VideoCLIPXL
from mtv_jax.models.videoclip_xl.preprocessing import choose_frames, video_pixels

__all__ = ["VideoCLIPXL", "VideoCLIPXLConfig", "choose_frames", "video_pixels"]
