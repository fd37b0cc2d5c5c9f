"""Sizes of CLAP, by the names of transformers."""

from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclass(frozen=True, kw_only=True)
class ClapTextConfig:
    """RoBERTa and its projection (transformers `ClapTextModelWithProjection`). The defaults are RoBERTa-base.

    Attributes:
      max_position_embeddings: rows of the table of positions, which are counted from `pad_token_id + 1`.
      layer_norm_eps: of all layer norms; transformers' CLAP has 1e-12, RoBERTa and LAION's code 1e-5.
      projection_dim: width of the features, of sounds too.
    """

    vocab_size: int = 50265
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 1
    projection_dim: int = 512

    def __post_init__(self):
        check_network(self)
        if self.hidden_size % self.num_attention_heads:
            raise UserError(
                f"hidden_size {self.hidden_size}: must be divisible by {self.num_attention_heads} heads"
            )
        if self.max_text_tokens < 1:
            raise UserError(
                f"max_position_embeddings {self.max_position_embeddings}: must exceed pad_token_id "
                f"{self.pad_token_id} + 1"
            )

    @property
    def max_text_tokens(self) -> int:
        """Most tokens of a text, with those of its start and its end."""
        return self.max_position_embeddings - self.pad_token_id - 1

    @classmethod
    def tiny(cls) -> "ClapTextConfig":
        """Two layers of width 24."""
        return cls(
            vocab_size=40,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=40,
            max_position_embeddings=18,
            projection_dim=16,
        )

    @classmethod
    def roberta_base(cls) -> "ClapTextConfig":
        """The text half of LAION's checkpoints."""
        return cls()
