"""Sizes and options of the diffusion transformer."""

from dataclasses import dataclass, replace
from typing import Literal

from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network

Positions = Literal["sincos", "rope", "rope_learned"]
RopeGrid = Literal["resize", "slice"]


@dataclass(frozen=True)
class DiTConfig:
    """Architecture of `DiT` (diffusers `CogVideoXTransformer3DModel`).

    Sizes named `sample_*` are those of training, in latent cells and latent frames; the learned
    position table has one entry for each of their tokens.

    `patch_size_t` latent frames share a token in CogVideoX 1.5 (None: every frame has its own, and the
    projections' weights are laid out as in 1.0). `ofs_embed_dim` is the size of the constant second
    input of 1.5's image-to-video model, added to the time embedding (None: there is none).

    `rope_grid` defines the token positions at other sizes than the training size. `resize`: rows and columns
    are scaled to the training grid (diffusers' pipelines of 1.0); `slice`: they are counted from 0
    (1.5; MTV's released code). At the training size both are the same.
    """

    num_layers: int
    num_attention_heads: int
    attention_head_dim: int = 64
    in_channels: int = 16
    out_channels: int = 16
    patch_size: int = 2
    patch_size_t: int | None = None
    text_embed_dim: int = 4096
    max_text_seq_length: int = 226
    time_embed_dim: int = 512
    ofs_embed_dim: int | None = None
    ffn_multiplier: int = 4
    positions: Positions = "rope"
    sample_frames: int = 13
    sample_height: int = 60
    sample_width: int = 90
    spatial_interpolation_scale: float = 1.875
    temporal_interpolation_scale: float = 1.0
    rope_theta: float = 1e4
    rope_grid: RopeGrid = "resize"
    norm_eps: float = 1e-5
    qk_norm_eps: float = 1e-6
    final_norm_eps: float = 1e-5
    final_adaln_eps: float = 1e-5

    def __post_init__(self):
        check_network(self)
        check_whole("num_attention_heads x attention_head_dim", self.width, most=2**17)
        if self.attention_head_dim % 16:
            raise UserError(
                f"attention_head_dim {self.attention_head_dim}: must be a multiple of 16, so that time, rows "
                "and columns each get an even number of rotary dimensions"
            )
        if self.patch_size_t is not None and self.positions != "rope":
            raise UserError(
                f"positions {self.positions!r} with patch_size_t: tables have an entry a latent frame; use 'rope'"
            )
        if self.ofs_embed_dim not in (None, self.time_embed_dim):
            raise UserError(
                f"ofs_embed_dim {self.ofs_embed_dim}: is added to the time embedding, so it must be "
                f"time_embed_dim ({self.time_embed_dim})"
            )

    @property
    def frames_per_token(self) -> int:
        """Latent frames per token."""
        return self.patch_size_t or 1

    @property
    def text_length_is_fixed(self) -> bool:
        """Whether a text is limited to `max_text_seq_length` tokens, because learned video positions follow them."""
        return self.positions == "rope_learned"

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return self.num_attention_heads * self.attention_head_dim

    def num_video_tokens(self, frames: int, height: int, width: int) -> int:
        """Video tokens of a clip of this many latent frames, rows and columns."""
        return -(-frames // self.frames_per_token) * height * width // self.patch_size**2

    def num_tokens(self, frames: int, height: int, width: int) -> int:
        """Video and text tokens of a clip, over which the transformer attends jointly."""
        return self.num_video_tokens(frames, height, width) + self.max_text_seq_length

    @classmethod
    def tiny(cls) -> "DiTConfig":
        """A few million parameters, trainable on two CPU cores: clips of 25 frames at 64 x 64."""
        return cls(
            num_layers=6,
            num_attention_heads=3,
            in_channels=8,
            out_channels=8,
            patch_size=4,
            text_embed_dim=64,
            max_text_seq_length=40,
            time_embed_dim=64,
            positions="rope_learned",
            sample_frames=25,
            sample_height=8,
            sample_width=8,
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

    @classmethod
    def cogvideox_1_5_5b(cls) -> "DiTConfig":
        """CogVideoX1.5-5B: tokens of two latent frames, any size up to 2400 x 2400 pixels."""
        return cls(
            num_layers=42,
            num_attention_heads=48,
            patch_size_t=2,
            rope_grid="slice",
            sample_frames=21,
            sample_height=300,
            sample_width=300,
        )

    @classmethod
    def cogvideox_1_5_5b_i2v(cls) -> "DiTConfig":
        """CogVideoX1.5-5B-I2V: 16 further input channels (the image), and the constant input `ofs`."""
        return replace(cls.cogvideox_1_5_5b(), in_channels=32, ofs_embed_dim=512)
