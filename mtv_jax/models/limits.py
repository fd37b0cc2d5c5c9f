"""Upper limits of the sizes in a network's config, so that absurd values raise an error early.

They are far above the sizes of any existing network.
"""

from typing import Any

from mtv_jax.io.checks import check_fields

_MOST = 2**17
"""Limit of a width, or any other size without a specific limit."""

_MOST_OF = {
    "num_layers": 512,
    "num_hidden_layers": 512,
    "encoder_layers": 512,
    "interaction_blocks": 512,
    "audio_layers": 512,
    "layers_per_block": 64,
    "transformer_layers": 64,
    "num_attention_heads": 1024,
    "encoder_attention_heads": 1024,
    "num_heads": 1024,
    "heads": 1024,
    "dim_head": 1024,
    "ff_mult": 64,
    "interaction_heads": 1024,
    "attention_head_dim": 1024,
    "d_kv": 1024,
    "ffn_multiplier": 64,
    "mlp_multiplier": 64,
    "patch_size": 64,
    "patch_size_t": 64,
    "input_patch_size": 1024,
    "window": 4096,
    "n_fft": 2**16,
    "context_tokens": 4096,
    "temporal_compression_ratio": 64,
    "temporal_kernel_size": 64,
    "conv_kernel": 1024,
    "conv_stride": 1024,
    "vocab_size": 2**22,
    "bins": 1024,
    "num_mel_bins": 1024,
    "subframes": 1024,
    "depth": 8,
    "dconv_depth": 16,
    "t_layers": 512,
    "t_heads": 1024,
    "sample_rate": 2**20,
    "samplerate": 2**20,
    "segment_samples": 2**24,
    "sample_frequency": 2**20,
    "sampling_rate": 2**20,
    "fft_window_size": 2**16,
    "max_length_s": 3600,
    "spec_size": 4096,
    "window_size": 64,
    "depths": 512,
}
"""Largest value of fields of a network's config that are counts of modules, or of rows of arrays."""


def check_network(config: Any) -> None:
    """Raises UserError, naming the field, for a value of another type or above its limit."""
    check_fields(config, most=_MOST, most_of=_MOST_OF)
