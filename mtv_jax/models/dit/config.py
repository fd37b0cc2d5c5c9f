"""Sizes and options of the diffusion transformer."""

from dataclasses import dataclass
from typing import Literal

from mtv_jax.io.errors import UserError


@dataclass(frozen=True)
class DiTConfig:
    """Architecture of `DiT` (diffusers `CogVideoXTransformer3DModel`).

    Sizes named `sample_*` are those of training, in latent cells and latent frames; the learned
    position table has one entry for each of their tokens.
    """

    num_layers: int
    num_attention_heads: int
    attention_head_dim: int = 64
    in_channels: int = 16
    out_channels: int = 16
    patch_size: int = 2
    text_embed_dim: int = 4096
    max_text_seq_length: int = 226
    time_embed_dim: int = 512
    ffn_multiplier: int = 4
    positions: Literal["sincos", "rope", "rope_learned"] = "rope"
    sample_frames: int = 13
    sample_height: int = 60
    sample_width: int = 90
    spatial_interpolation_scale: float = 1.875
    temporal_interpolation_scale: float = 1.0
    rope_theta: float = 1e4
    norm_eps: float = 1e-5
    qk_norm_eps: float = 1e-6
    final_norm_eps: float = 1e-5
    final_adaln_eps: float = 1e-5

    def __post_init__(self):
        if self.attention_head_dim % 16:
            raise UserError(
                f"attention_head_dim {self.attention_head_dim}: must be a multiple of 16, so that time, rows "
                "and columns each get an even number of rotary dimensions"
            )

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return self.num_attention_heads * self.attention_head_dim

    @classmethod
    def tiny(cls) -> "DiTConfig":
        """A few million parameters, for two CPU cores: clips of 25 frames at 64 x 96."""
        return cls(
            num_layers=4,
            num_attention_heads=3,
            text_embed_dim=64,
            max_text_seq_length=128,
            time_embed_dim=128,
            positions="rope_learned",
            sample_frames=7,
            sample_height=8,
            sample_width=12,
        )

    @classmethod
    def cogvideox_2b(cls) -> "DiTConfig":
        """CogVideoX-2b: 30 layers, width 1920, sin-cos positions."""
        return cls(num_layers=30, num_attention_heads=30, positions="sincos")

    @classmethod
    def cogvideox_5b(cls) -> "DiTConfig":
        """CogVideoX-5b: 42 layers, width 3072, rotary positions."""
        return cls(num_layers=42, num_attention_heads=48)

    @classmethod
    def cogvideox_5b_i2v(cls) -> "DiTConfig":
        """CogVideoX-5b-I2V: 16 further input channels (the image) and a learned position table."""
        return cls(num_layers=42, num_attention_heads=48, in_channels=32, positions="rope_learned")
