"""Declares HTDemucs (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.htdemucs.config import HTDemucsConfig
from mtv_jax.models.htdemucs.model import HTDemucs
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: HTDemucsConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, 1, config.audio_channels), jnp.float32),)


SPEC = NetworkSpec(
    name="htdemucs",
    module=HTDemucs,
    config=HTDemucsConfig,
    weights="mtv_jax.weights.htdemucs",
    class_names=("HTDemucs",),
    folder="separator",
    example_inputs=_example_inputs,
)
