"""Sizes and options of CLIP, by the names of transformers."""

from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.models.clip.transformer import TransformerConfig
from mtv_jax.models.limits import check_network


@dataclass(frozen=True, kw_only=True)
class VisionConfig(TransformerConfig):
    """A vision transformer on square pictures of `image_size` pixels, cut into patches of `patch_size`."""

    image_size: int = 224
    patch_size: int

    def __post_init__(self):
        super().__post_init__()
        if self.image_size < self.patch_size:
            raise UserError(f"image_size {self.image_size}: must be at least patch_size {self.patch_size}")

    @property
    def num_patches(self) -> int:
        """Whole patches in a picture."""
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True, kw_only=True)
class TextConfig(TransformerConfig):
    """A causal text transformer, whose feature is that of the end token.

    `eos_token_id` None: the end token is the one with the highest id (OpenAI, and configs of transformers that were
    written before the id was stored).
    """

    vocab_size: int = 49408
    max_position_embeddings: int = 77
    eos_token_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class CLIPConfig:
    """Architecture of `CLIP` (transformers `CLIPModel`)."""

    vision: VisionConfig
    text: TextConfig
    projection_dim: int

    def __post_init__(self):
        check_network(self)

    @classmethod
    def tiny(cls) -> "CLIPConfig":
        """Two layers each, of width 32 and 24, and pictures of 28 pixels."""
        return cls(
            vision=VisionConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=48,
                image_size=28,
                patch_size=7,
            ),
            text=TextConfig(
                hidden_size=24,
                num_hidden_layers=2,
                num_attention_heads=3,
                intermediate_size=40,
                vocab_size=64,
                max_position_embeddings=12,
            ),
            projection_dim=16,
        )

    @classmethod
    def vit_b32(cls) -> "CLIPConfig":
        """openai/clip-vit-base-patch32."""
        return cls(
            vision=VisionConfig(
                hidden_size=768,
                num_hidden_layers=12,
                num_attention_heads=12,
                intermediate_size=3072,
                patch_size=32,
            ),
            text=TextConfig(
                hidden_size=512, num_hidden_layers=12, num_attention_heads=8, intermediate_size=2048
            ),
            projection_dim=512,
        )

    @classmethod
    def vit_l14(cls) -> "CLIPConfig":
        """openai/clip-vit-large-patch14."""
        return cls(
            vision=VisionConfig(
                hidden_size=1024,
                num_hidden_layers=24,
                num_attention_heads=16,
                intermediate_size=4096,
                patch_size=14,
            ),
            text=TextConfig(
                hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072
            ),
            projection_dim=768,
        )
