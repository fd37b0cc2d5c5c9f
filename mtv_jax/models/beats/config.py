"""Sizes and options of BEATs and of its filter bank."""

from dataclasses import dataclass
from typing import Literal

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclass(frozen=True)
class FbankConfig:
    """Kaldi's log-mel filter bank without dither, of whole frames only (`snip_edges`); the defaults are BEATs'.

    Times are in milliseconds, frequencies in Hz; `high_freq` 0 is half the sample rate. `full_scale` is what a sample
    of 1 is multiplied with before: BEATs takes sound in the range of 16-bit integers. `mean` and `std` are the data
    set's, in the logarithm's units.
    """

    sample_frequency: int = 16_000
    frame_length: float = 25.0
    frame_shift: float = 10.0
    num_mel_bins: int = 128
    low_freq: float = 20.0
    high_freq: float = 0.0
    preemphasis_coefficient: float = 0.97
    window_type: Literal["povey", "hanning"] = "povey"
    full_scale: float = 2.0**15
    mean: float = 15.41663
    std: float = 6.55582

    def __post_init__(self):
        check_network(self)
        if not (
            0 < self.frame_shift <= 1000 and 0 < self.frame_length <= 1000 and self.window and self.shift
        ):
            raise UserError(
                f"frame_length {self.frame_length}, frame_shift {self.frame_shift}: must be above 0 and at most 1000 ms"
            )
        half = self.sample_frequency / 2
        high = self.high_freq if self.high_freq > 0 else self.high_freq + half
        if not 0 <= self.low_freq < high <= half:
            raise UserError(
                f"low_freq {self.low_freq}, high_freq {self.high_freq}: must rise, up to {half:g} Hz"
            )
        if not self.std > 0:
            raise UserError(f"std {self.std}: must be above 0")

    @property
    def window(self) -> int:
        """Samples per frame."""
        return int(self.sample_frequency * self.frame_length / 1000)

    @property
    def shift(self) -> int:
        """Samples from one frame to the next."""
        return int(self.sample_frequency * self.frame_shift / 1000)

    @property
    def fft_size(self) -> int:
        """The window's length, rounded up to a power of two."""
        return 1 << (self.window - 1).bit_length()


@dataclass(frozen=True)
class BEATsConfig:
    """Architecture of `BEATs` (unilm `beats/BEATs.py`, iter3: post-norm, gated relative positions).

    `num_classes`: the file has a classifier (a fine-tuned checkpoint).
    """

    embed_dim: int = 512
    encoder_embed_dim: int = 768
    encoder_layers: int = 12
    encoder_attention_heads: int = 12
    encoder_ffn_embed_dim: int = 3072
    input_patch_size: int = 16
    conv_bias: bool = False
    conv_pos: int = 128
    conv_pos_groups: int = 16
    num_buckets: int = 320
    max_distance: int = 800
    deep_norm: bool = True
    num_classes: int | None = None

    def __post_init__(self):
        check_network(self)
        if self.encoder_embed_dim % self.conv_pos_groups:
            raise UserError(
                f"encoder_embed_dim {self.encoder_embed_dim}: must be divisible by conv_pos_groups "
                f"{self.conv_pos_groups}"
            )
        if self.num_buckets < 4 or self.max_distance <= self.num_buckets // 4:
            raise UserError(
                f"num_buckets {self.num_buckets}, max_distance {self.max_distance}: there must be 4 buckets or more, "
                "and the distance above a fourth of them"
            )
        if self.encoder_embed_dim % self.encoder_attention_heads:
            raise UserError(
                f"encoder_embed_dim {self.encoder_embed_dim}: must be divisible by "
                f"{self.encoder_attention_heads} heads"
            )

    @property
    def residual_scale(self) -> float:
        """DeepNorm's factor on the residual."""
        return (2 * self.encoder_layers) ** 0.25 if self.deep_norm else 1.0

    @classmethod
    def tiny(cls) -> "BEATsConfig":
        """Two layers of width 32."""
        return cls(
            embed_dim=16,
            encoder_embed_dim=32,
            encoder_layers=2,
            encoder_attention_heads=4,
            encoder_ffn_embed_dim=64,
            conv_pos=16,
            conv_pos_groups=4,
        )

    @classmethod
    def iter3(cls) -> "BEATsConfig":
        """BEATs iter3 and iter3+, pre-trained (no classifier)."""
        return cls()
