"""Declares VideoCLIP-XL (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.spec import NetworkSpec
from mtv_jax.models.videoclip_xl.config import VideoCLIPXLConfig
from mtv_jax.models.videoclip_xl.model import VideoCLIPXL


def _example_inputs(config: VideoCLIPXLConfig) -> tuple[Any, ...]:
    size = config.vision.image_size
    return jax.ShapeDtypeStruct((1, 1, size, size, 3), jnp.float32), jax.ShapeDtypeStruct((1, 2), jnp.int32)


SPEC = NetworkSpec(
    name="videoclip_xl",
    module=VideoCLIPXL,
    config=VideoCLIPXLConfig,
    weights="mtv_jax.weights.videoclip_xl",
    class_names=("VideoCLIP_XL",),
    folder="videoclip_xl",
    example_inputs=_example_inputs,
    groups=("vision", "text"),
)
