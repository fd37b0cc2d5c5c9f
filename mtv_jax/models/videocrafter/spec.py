"""Declares VideoCrafter's UNet (`mtv_jax.models.spec`)."""

from mtv_jax.models.spec import NetworkSpec
from mtv_jax.models.videocrafter.config import VideoCrafterConfig
from mtv_jax.models.videocrafter.model import VideoCrafterUNet
from mtv_jax.ops.stack import REMAT_POLICIES

SPEC = NetworkSpec(
    name="videocrafter",
    module=VideoCrafterUNet,
    config=VideoCrafterConfig,
    weights="mtv_jax.weights.videocrafter",
    class_names=("VideoCrafterUNet",),
    folder="unet",
    file_stem="diffusion_pytorch_model",
    groups=(),
    remat=tuple(REMAT_POLICIES),
    task="denoiser",
    autoencoder="kl_vae",
    extends="unet2d",
)
