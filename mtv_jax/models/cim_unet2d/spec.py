"""Declares the network that trains the Condition Injection Module (`mtv_jax.models.spec`)."""

from mtv_jax.models.cim import spec as cim
from mtv_jax.models.cim_unet2d.config import CIMUNet2DConfig
from mtv_jax.models.cim_unet2d.model import MEL, CIMUNet2D
from mtv_jax.models.imagebind import audio_spec as imagebind_audio
from mtv_jax.models.spec import NetworkSpec
from mtv_jax.models.unet2d import spec as unet2d


def _tracks(config: CIMUNet2DConfig, latent_frames: int) -> dict[str, tuple[int, ...]]:
    """Shape [f m t] of the spectrograms, one for each picture."""
    return {MEL: (latent_frames, config.imagebind.num_mel_bins, config.imagebind.target_length)}


SPEC = NetworkSpec(
    name="cim_unet2d",
    module=CIMUNet2D,
    config=CIMUNet2DConfig,
    weights="",
    class_names=(),
    folder="",
    groups=("imagebind", "cim", "unet"),
    remat=unet2d.SPEC.remat,
    task="cim",
    tracks=_tracks,
    autoencoder=unet2d.SPEC.autoencoder,
    parts=(unet2d.SPEC, imagebind_audio.SPEC, cim.SPEC),
)
