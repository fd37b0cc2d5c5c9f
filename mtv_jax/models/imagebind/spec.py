"""Declares ImageBind (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.imagebind import audio_spec
from mtv_jax.models.imagebind.config import ImageBindConfig
from mtv_jax.models.imagebind.model import ImageBind
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: ImageBindConfig) -> tuple[Any, ...]:
    size = config.image_size
    return (
        jax.ShapeDtypeStruct((1, 1, size, size, 3), jnp.float32),
        jax.ShapeDtypeStruct((1, config.context_length), jnp.int32),
        *audio_spec.example_inputs(config),
    )


SPEC = NetworkSpec(
    name="imagebind",
    module=ImageBind,
    config=ImageBindConfig,
    weights="mtv_jax.weights.imagebind",
    class_names=("ImageBindModel",),
    folder="imagebind",
    example_inputs=_example_inputs,
    groups=("vision", "text", "audio"),
)
