"""Declares Stable Diffusion's UNet (`mtv_jax.models.spec`)."""

from mtv_jax.models.spec import NetworkSpec
from mtv_jax.models.unet2d.config import UNet2DConfig
from mtv_jax.models.unet2d.model import UNet2D
from mtv_jax.ops.stack import REMAT_POLICIES

SPEC = NetworkSpec(
    name="unet2d",
    module=UNet2D,
    config=UNet2DConfig,
    weights="mtv_jax.weights.unet2d",
    class_names=("UNet2DConditionModel",),
    folder="unet",
    file_stem="diffusion_pytorch_model",
    groups=(),
    remat=tuple(REMAT_POLICIES),
    task="denoiser",
    autoencoder="kl_vae",
)
