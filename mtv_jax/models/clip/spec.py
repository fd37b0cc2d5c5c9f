"""Declares CLIP (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.clip.config import CLIPConfig
from mtv_jax.models.clip.model import CLIP
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: CLIPConfig) -> tuple[Any, ...]:
    size = config.vision.image_size
    return jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32), jax.ShapeDtypeStruct((1, 2), jnp.int32)


SPEC = NetworkSpec(
    name="clip",
    module=CLIP,
    config=CLIPConfig,
    weights="mtv_jax.weights.clip",
    class_names=("CLIPModel",),
    folder="clip",
    example_inputs=_example_inputs,
    groups=("vision", "text"),
)
