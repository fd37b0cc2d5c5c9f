"""The BEATs sound encoder and its filter bank."""

from mtv_jax.models.beats.config import BEATsConfig, FbankConfig
from mtv_jax.models.beats.fbank import fbank, mel_banks, normalised_fbank
from mtv_jax.models.beats.model import BEATs, reduce_mask

__all__ = ["BEATs", "BEATsConfig", "FbankConfig", "fbank", "mel_banks", "normalised_fbank", "reduce_mask"]
