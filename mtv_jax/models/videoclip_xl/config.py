"""Sizes of VideoCLIP-XL."""

from dataclasses import dataclass

from mtv_jax.models.clip.config import TextConfig, VisionConfig
from mtv_jax.models.limits import check_network


@dataclass(frozen=True, kw_only=True)
class VideoCLIPXLConfig:
    """Architecture of `VideoCLIPXL`: CLIP's towers, the one for `num_frames` frames, the other for long texts."""

    vision: VisionConfig
    text: TextConfig
    projection_dim: int
    num_frames: int = 8

    def __post_init__(self):
        check_network(self)

    @classmethod
    def tiny(cls) -> "VideoCLIPXLConfig":
        """Two layers each, of width 32 and 24, on four frames of 28 pixels and 24 tokens."""
        return cls(
            vision=VisionConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=128,
                image_size=28,
                patch_size=14,
            ),
            text=TextConfig(
                hidden_size=24,
                num_hidden_layers=2,
                num_attention_heads=3,
                intermediate_size=96,
                vocab_size=64,
                max_position_embeddings=24,
            ),
            projection_dim=16,
            num_frames=4,
        )

    @classmethod
    def xl(cls) -> "VideoCLIPXLConfig":
        """alibaba-pai/VideoCLIP-XL: the sizes of CLIP ViT-L/14, with 248 tokens."""
        return cls(
            vision=VisionConfig(
                hidden_size=1024,
                num_hidden_layers=24,
                num_attention_heads=16,
                intermediate_size=4096,
                patch_size=14,
            ),
            text=TextConfig(
                hidden_size=768,
                num_hidden_layers=12,
                num_attention_heads=12,
                intermediate_size=3072,
                max_position_embeddings=248,
            ),
            projection_dim=768,
        )
