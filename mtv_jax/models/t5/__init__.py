"""The T5 v1.1 and UMT5 text encoders."""

from mtv_jax.models.t5.config import T5Config
from mtv_jax.models.t5.model import T5Encoder

__all__ = ["T5Config", "T5Encoder"]
