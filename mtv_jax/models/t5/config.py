"""Sizes of the T5 text encoders."""

from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclass(frozen=True)
class T5Config:
    """Architecture of `T5Encoder` (transformers `T5EncoderModel`, gated GELU, and `UMT5EncoderModel`).

    `relative_bias_per_layer` distinguishes UMT5: every layer has its own table of relative position
    biases, whereas T5 shares one.
    """

    vocab_size: int
    d_model: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_heads: int
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6
    relative_bias_per_layer: bool = False

    def __post_init__(self):
        check_network(self)
        buckets, distance = self.relative_attention_num_buckets, self.relative_attention_max_distance
        if buckets < 4 or distance <= buckets // 4:
            raise UserError(
                f"relative_attention_num_buckets {buckets}, relative_attention_max_distance {distance}: there must be "
                "4 buckets or more, and the distance above a fourth of them"
            )

    @classmethod
    def tiny(cls) -> "T5Config":
        """Two layers over the words of the synthetic theatre's prompts."""
        return cls(vocab_size=64, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=8)

    @classmethod
    def t5_v1_1_xxl(cls) -> "T5Config":
        """The encoder of google/t5-v1_1-xxl, CogVideoX's and MTV's text encoder."""
        return cls(vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64)

    @classmethod
    def umt5_xxl(cls) -> "T5Config":
        """The encoder of google/umt5-xxl, Wan 2.1's text encoder."""
        return cls(
            vocab_size=256384,
            d_model=4096,
            d_kv=64,
            d_ff=10240,
            num_layers=24,
            num_heads=64,
            relative_bias_per_layer=True,
        )
