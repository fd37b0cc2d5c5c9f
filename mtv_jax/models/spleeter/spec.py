"""Declares Spleeter's networks (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.spec import NetworkSpec
from mtv_jax.models.spleeter.config import SpleeterConfig
from mtv_jax.models.spleeter.model import Spleeter


def _example_inputs(config: SpleeterConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, config.factor, config.factor, config.channels), jnp.float32),)


SPEC = NetworkSpec(
    name="spleeter",
    module=Spleeter,
    config=SpleeterConfig,
    weights="mtv_jax.weights.spleeter",
    class_names=("Spleeter",),
    folder="separator",
    example_inputs=_example_inputs,
)
