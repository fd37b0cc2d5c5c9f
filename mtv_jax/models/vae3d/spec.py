"""Declares CogVideoX's autoencoder (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.spec import NetworkSpec
from mtv_jax.models.vae3d.config import VAE3DConfig
from mtv_jax.models.vae3d.model import VAE3D


def _example_inputs(config: VAE3DConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, 1, 16, 16, 3), jnp.float32),)


SPEC = NetworkSpec(
    name="vae3d",
    module=VAE3D,
    config=VAE3DConfig,
    weights="mtv_jax.weights.vae3d",
    class_names=("AutoencoderKLCogVideoX",),
    folder="vae",
    example_inputs=_example_inputs,
    file_stem="diffusion_pytorch_model",
    task="vae",
)
