"""Configs of MTV: a backbone and a controlnet, and compatible pairs."""

from dataclasses import dataclass, field, replace

from mtv_jax.io.errors import UserError
from mtv_jax.models.dit.config import DiTConfig
from mtv_jax.models.mst_controlnet.config import MSTControlNetConfig


@dataclass(frozen=True)
class MTVConfig:
    """Backbone and controlnet. Each latent frame has one audio interval, so `dit.patch_size_t` is None."""

    dit: DiTConfig = field(default_factory=DiTConfig.tiny)
    controlnet: MSTControlNetConfig = field(default_factory=MSTControlNetConfig.tiny)

    def __post_init__(self):
        if self.dit.patch_size_t is not None:
            raise UserError(
                f"dit.patch_size_t {self.dit.patch_size_t}: the controlnet needs tokens of single latent frames"
            )

    @classmethod
    def tiny(cls) -> "MTVConfig":
        """For two CPU cores, log-mel features, clips of 25 frames at 64 x 64."""
        return cls(DiTConfig.tiny(), MSTControlNetConfig.tiny())

    @classmethod
    def tiny_paper(cls) -> "MTVConfig":
        """The sizes of `tiny` with the controlnet that the paper describes."""
        return cls(DiTConfig.tiny(), MSTControlNetConfig.tiny().as_paper())

    @classmethod
    def mtv_5b(cls) -> "MTVConfig":
        """The released model: CogVideoX-5b-I2V's shape, wav2vec2-base features, the code's peculiarities."""
        return cls(_released_backbone(), MSTControlNetConfig.released())

    @classmethod
    def mtv_5b_paper(cls) -> "MTVConfig":
        """The same sizes with the controlnet that the paper describes."""
        return cls(_released_backbone(), MSTControlNetConfig.paper())


def _released_backbone() -> DiTConfig:
    """CogVideoX-5b-I2V as MTV's code runs it: another epsilon in the last norm, rotations counted from 0."""
    return replace(DiTConfig.cogvideox_5b_i2v(), final_adaln_eps=1e-6, rope_grid="slice")
