"""Declares the speaker encoder (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.ge2e.config import GE2EConfig
from mtv_jax.models.ge2e.model import GE2E
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: GE2EConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, config.frames, config.mels), jnp.float32),)


SPEC = NetworkSpec(
    name="ge2e",
    module=GE2E,
    config=GE2EConfig,
    weights="mtv_jax.weights.ge2e",
    class_names=("VoiceEncoder",),
    folder="speaker_encoder",
    example_inputs=_example_inputs,
)
