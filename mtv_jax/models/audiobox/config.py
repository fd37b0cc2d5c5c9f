"""Sizes and options of Audiobox-aesthetics."""

import math
from dataclasses import dataclass, field

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network
from mtv_jax.models.wav2vec2.config import Wav2Vec2Config

AXES = ("CE", "CU", "PC", "PQ")
"""What is rated: enjoyment and usefulness of the content, complexity and quality of the production."""


@dataclass(frozen=True)
class AudioboxConfig:
    """Architecture of `Audiobox` (audiobox_aesthetics 0.0.4 `AesMultiOutput`).

    Attributes:
      encoder: sizes of WavLM, which are those of wav2vec 2.0, with norms after attention and feed-forward.
      num_buckets, max_distance: of the relative positions.
      proj_num_layer: linear layers of each of the four heads.
      proj_ln: layer norms between them.
      proj_dropout: in training; here it only says how the layers are numbered in a checkpoint.
      normalize_embed: whether a head's input has length 1.
      means, stds: of the ratings, by `AXES`: a head's output is in these units.
    """

    encoder: Wav2Vec2Config = field(default_factory=Wav2Vec2Config.base_960h)
    num_buckets: int = 320
    max_distance: int = 800
    proj_num_layer: int = 1
    proj_ln: bool = False
    proj_dropout: float = 0.0
    normalize_embed: bool = True
    means: tuple[float, ...] = (0.0,) * 4
    stds: tuple[float, ...] = (1.0,) * 4

    def __post_init__(self):
        check_network(self)
        if self.encoder.do_stable_layer_norm or self.encoder.feat_extract_norm != "group":
            raise UserError("encoder: Audiobox-aesthetics has WavLM base, without stable layer norm")
        if self.num_buckets < 4 or self.max_distance <= self.num_buckets // 4:
            raise UserError(
                f"num_buckets {self.num_buckets}, max_distance {self.max_distance}: there must be 4 buckets or more, "
                "and the distance above a fourth of them"
            )
        for name in ("means", "stds"):
            values = getattr(self, name)
            if len(values) != len(AXES) or not all(math.isfinite(value) for value in values):
                raise UserError(f"{name} {values}: must be {len(AXES)} finite numbers")

    @property
    def stride(self) -> int:
        """By how much the number of a head's linear layer rises in a checkpoint: activations have numbers too."""
        return 2 + self.proj_ln + (self.proj_dropout != 0)

    @classmethod
    def base(cls) -> "AudioboxConfig":
        """The sizes of facebook/audiobox-aesthetics; the heads and the ratings' units are in its config.json."""
        return cls()

    @classmethod
    def tiny(cls) -> "AudioboxConfig":
        """Two layers of width 64, heads of two layers."""
        return cls(
            encoder=Wav2Vec2Config.tiny(),
            proj_num_layer=2,
            proj_ln=True,
            means=(5.0, 5.5, 3.0, 6.0),
            stds=(1.5, 1.25, 1.0, 1.75),
        )
