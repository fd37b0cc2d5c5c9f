"""CLAP: sounds and texts in one space (Wu et al., 2023)."""

from mtv_jax.models.clap.config import ClapAudioConfig, ClapConfig, ClapTextConfig
from mtv_jax.models.clap.model import Clap
from mtv_jax.models.clap.preprocessing import ClapFeatureConfig, clap_features
from mtv_jax.models.clap.text import ClapText
from mtv_jax.models.clap.tokenizer import ClapTokenizer, load_clap_tokenizer

__all__ = [
    "Clap",
    "ClapAudioConfig",
    "ClapConfig",
    "ClapFeatureConfig",
    "ClapText",
    "ClapTextConfig",
    "ClapTokenizer",
    "clap_features",
    "load_clap_tokenizer",
]
