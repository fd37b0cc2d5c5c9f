"""CLIP: pictures and texts in one space (Radford et al., 2021)."""

from mtv_jax.models.clip.config import CLIPConfig, TextConfig, VisionConfig
from mtv_jax.models.clip.model import CLIP
from mtv_jax.models.clip.preprocessing import CLIP_MEAN, CLIP_STD, clip_pixels

__all__ = ["CLIP", "CLIP_MEAN", "CLIP_STD", "CLIPConfig", "TextConfig", "VisionConfig", "clip_pixels"]
