"""SyncNet: embeddings of mouths and of sounds, which are close where the two belong together."""

from mtv_jax.models.syncnet.config import SyncNetConfig
from mtv_jax.models.syncnet.model import SyncNet

__all__ = ["SyncNet", "SyncNetConfig"]
