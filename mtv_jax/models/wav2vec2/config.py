"""Sizes and options of the wav2vec 2.0 encoder."""

import math
from dataclasses import dataclass
from typing import Literal

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclass(frozen=True)
class Wav2Vec2Config:
    """Architecture of `Wav2Vec2` (transformers `Wav2Vec2Model`).

    `feat_extract_norm`: `group` normalises the first convolution over time only, `layer` every
    convolution over channels. `do_stable_layer_norm`: norms before attention and feed-forward in
    place of after. `mask_embedding`: the checkpoint has the vector that replaces masked frames in
    pre-training; the encoder does not use it, it is kept so that a round trip preserves the file.
    """

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    conv_dim: tuple[int, ...] = (512,) * 7
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    feat_extract_norm: Literal["group", "layer"] = "group"
    do_stable_layer_norm: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    layer_norm_eps: float = 1e-5
    mask_embedding: bool = True

    def __post_init__(self):
        check_network(self)
        lengths = len(self.conv_dim), len(self.conv_kernel), len(self.conv_stride)
        if len(set(lengths)) != 1:
            raise UserError(
                f"conv_dim, conv_kernel, conv_stride have {lengths} entries: give as many of each"
            )
        if self.hidden_size % self.num_attention_heads:
            raise UserError(
                f"hidden_size {self.hidden_size}: must be divisible by {self.num_attention_heads} heads"
            )
        if self.hidden_size % self.num_conv_pos_embedding_groups:
            raise UserError(
                f"hidden_size {self.hidden_size}: must be divisible by num_conv_pos_embedding_groups "
                f"{self.num_conv_pos_embedding_groups}"
            )

    @property
    def receptive_field(self) -> int:
        """Receptive field of one output frame of the convolutions in samples: the shortest valid input."""
        field = 1
        for kernel, stride in zip(reversed(self.conv_kernel), reversed(self.conv_stride), strict=True):
            field = (field - 1) * stride + kernel
        return field

    @property
    def hop(self) -> int:
        """Samples from one output frame of the convolutions to the next."""
        return math.prod(self.conv_stride)

    @classmethod
    def tiny(cls) -> "Wav2Vec2Config":
        """Base's layout, two layers of width 64."""
        return cls(
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            conv_dim=(32,) * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4,
        )

    @classmethod
    def base_960h(cls) -> "Wav2Vec2Config":
        """facebook/wav2vec2-base-960h, MTV's encoder of all three tracks."""
        return cls()

    @classmethod
    def large(cls) -> "Wav2Vec2Config":
        """facebook/wav2vec2-large-lv60 and similar: layer norms, convolutions with biases."""
        return cls(
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            intermediate_size=4096,
            conv_bias=True,
            feat_extract_norm="layer",
            do_stable_layer_norm=True,
        )
