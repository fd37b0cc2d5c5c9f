"""Declares MTV (`mtv_jax.models.spec`): a CogVideoX backbone and the MST-ControlNet on it."""

from mtv_jax.models.dit import spec as dit
from mtv_jax.models.mtv.config import MTVConfig
from mtv_jax.models.mtv.model import MTV
from mtv_jax.models.spec import Composite, NetworkSpec


def _tracks(config: MTVConfig, latent_frames: int) -> dict[str, tuple[int, ...]]:
    """Shape [F L c] of each track's features for a number of latent frames."""
    control = config.controlnet
    shape = control.sound_frames(latent_frames), control.audio_layers, control.audio_channels
    return dict.fromkeys(control.tracks, shape)


SPEC = NetworkSpec(
    name="mtv",
    module=MTV,
    config=MTVConfig,
    weights="mtv_jax.weights.controlnet",
    class_names=("MSTControlNet",),
    folder="controlnet",
    groups=("controlnet", "transformer", "transformer/blocks", "transformer/blocks/injection"),
    remat=dit.SPEC.remat,
    task="denoiser",
    tracks=_tracks,
    composite=Composite(
        backbone=dit.SPEC,
        backbone_field="dit",
        own_field="controlnet",
        backbone_group="transformer",
        own_group="controlnet",
    ),
)
