"""Sizes and options of CLIP's text encoder, by the names of transformers."""

from dataclasses import dataclass

from mtv_jax.models.clip import TextConfig


@dataclass(frozen=True, kw_only=True)
class CLIPTextConfig(TextConfig):
    """Architecture of `CLIPTextModel`. `eos_token_id` has no effect here; it is kept for the file."""

    @property
    def d_model(self) -> int:
        """Width of an embedding, by the name in T5's config."""
        return self.hidden_size

    @classmethod
    def tiny(cls) -> "CLIPTextConfig":
        """Two layers of width 24 for 12 tokens."""
        return cls(
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=40,
            hidden_act="gelu",
            vocab_size=64,
            max_position_embeddings=12,
        )

    @classmethod
    def vit_h(cls) -> "CLIPTextConfig":
        """OpenCLIP ViT-H/14 without its last layer: the text encoder of Stable Diffusion 2 and of VideoCrafter2."""
        return cls(
            hidden_size=1024,
            num_hidden_layers=23,
            num_attention_heads=16,
            intermediate_size=4096,
            hidden_act="gelu",
        )
