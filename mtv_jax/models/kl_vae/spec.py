"""Declares Stable Diffusion's autoencoder (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.kl_vae.config import KLVAEConfig
from mtv_jax.models.kl_vae.model import AutoencoderKL
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: KLVAEConfig) -> tuple[Any, ...]:
    side = config.spatial_compression_ratio
    return (jax.ShapeDtypeStruct((1, 1, side, side, config.in_channels), jnp.float32),)


SPEC = NetworkSpec(
    name="kl_vae",
    module=AutoencoderKL,
    config=KLVAEConfig,
    weights="mtv_jax.weights.kl_vae",
    class_names=("AutoencoderKL",),
    folder="vae",
    example_inputs=_example_inputs,
    file_stem="diffusion_pytorch_model",
    task="vae",
)
