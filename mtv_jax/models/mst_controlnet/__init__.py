"""MTV's Multi-Stream Temporal ControlNet: three audio tracks, each controlling the video in its own way."""

from mtv_jax.models.mst_controlnet.config import MSTControlNetConfig
from mtv_jax.models.mst_controlnet.model import AudioInjection, MSTControlNet, frame_windows

__all__ = ["AudioInjection", "MSTControlNet", "MSTControlNetConfig", "frame_windows"]
