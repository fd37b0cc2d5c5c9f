"""Declares I3D (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.i3d.config import I3DConfig
from mtv_jax.models.i3d.model import I3D, LEAST_FRAMES, SIZE
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: I3DConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, LEAST_FRAMES, SIZE, SIZE, 3), jnp.float32),)


SPEC = NetworkSpec(
    name="i3d",
    module=I3D,
    config=I3DConfig,
    weights="mtv_jax.weights.i3d",
    class_names=("InceptionI3d",),
    folder="i3d",
    example_inputs=_example_inputs,
)
