"""CLIP's text encoder alone, which conditions Stable Diffusion and VideoCrafter."""

from mtv_jax.models.clip_text.config import CLIPTextConfig
from mtv_jax.models.clip_text.model import CLIPTextModel

__all__ = ["CLIPTextConfig", "CLIPTextModel"]
