"""Declares SyncSynth's network (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.spec import NetworkSpec
from mtv_jax.models.syncsynth.config import CONTEXT, LEVELS, SIDE, SyncSynthConfig
from mtv_jax.models.syncsynth.model import SyncTowers


def _example_inputs(config: SyncSynthConfig) -> tuple[Any, ...]:
    frames = 1 + CONTEXT
    return (
        jax.ShapeDtypeStruct((1, frames, SIDE, SIDE), jnp.float32),
        jax.ShapeDtypeStruct((1, frames, *LEVELS), jnp.float32),
    )


SPEC = NetworkSpec(
    name="syncsynth",
    module=SyncTowers,
    config=SyncSynthConfig,
    weights="mtv_jax.weights.syncsynth",
    class_names=("SyncSynth",),
    folder="syncsynth",
    example_inputs=_example_inputs,
)
