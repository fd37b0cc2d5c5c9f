"""The two parts of MTV, and the pairs that go together."""

from dataclasses import dataclass, field

from mtv_jax.models.dit.config import DiTConfig
from mtv_jax.models.mst_controlnet.config import MSTControlNetConfig


@dataclass(frozen=True)
class MTVConfig:
    """Backbone and controlnet."""

    dit: DiTConfig = field(default_factory=DiTConfig.tiny)
    controlnet: MSTControlNetConfig = field(default_factory=MSTControlNetConfig.tiny)

    @classmethod
    def tiny(cls) -> "MTVConfig":
        """For two CPU cores, log-mel features, clips of 25 frames at 64 x 96."""
        return cls(DiTConfig.tiny(), MSTControlNetConfig.tiny())

    @classmethod
    def mtv_5b(cls) -> "MTVConfig":
        """The released model: CogVideoX-5b-I2V's shape and wav2vec2-base features."""
        return cls(DiTConfig.cogvideox_5b_i2v(), MSTControlNetConfig.mtv_5b())
