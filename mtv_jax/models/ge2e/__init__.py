"""GE2E: an LSTM that tells what a voice is like."""

from mtv_jax.models.ge2e.config import GE2EConfig
from mtv_jax.models.ge2e.model import GE2E

__all__ = ["GE2E", "GE2EConfig"]
