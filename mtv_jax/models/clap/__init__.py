"""CLAP: sounds and texts in one space (Wu et al., 2023)."""

from mtv_jax.models.clap.config import ClapTextConfig
from mtv_jax.models.clap.text import ClapText
from mtv_jax.models.clap.tokenizer import ClapTokenizer, load_clap_tokenizer

__all__ = ["ClapText", "ClapTextConfig", "ClapTokenizer", "load_clap_tokenizer"]
