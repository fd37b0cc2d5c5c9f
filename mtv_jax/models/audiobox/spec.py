"""Declares Audiobox-aesthetics (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.audiobox.config import AudioboxConfig
from mtv_jax.models.audiobox.model import Audiobox
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: AudioboxConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, 800), jnp.float32),)


SPEC = NetworkSpec(
    name="audiobox",
    module=Audiobox,
    config=AudioboxConfig,
    weights="mtv_jax.weights.audiobox",
    class_names=("AesMultiOutput",),
    folder="audio_quality",
    example_inputs=_example_inputs,
)
