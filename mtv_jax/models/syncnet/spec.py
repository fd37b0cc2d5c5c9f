"""Declares SyncNet (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.spec import NetworkSpec
from mtv_jax.models.syncnet.config import SyncNetConfig
from mtv_jax.models.syncnet.model import CEPSTRA, CONTEXT, SIZE, WINDOW, SyncNet


def _example_inputs(config: SyncNetConfig) -> tuple[Any, ...]:
    frames = jax.ShapeDtypeStruct((1, CONTEXT, SIZE, SIZE, 3), jnp.float32)
    return frames, jax.ShapeDtypeStruct((1, CEPSTRA, WINDOW), jnp.float32)


SPEC = NetworkSpec(
    name="syncnet",
    module=SyncNet,
    config=SyncNetConfig,
    weights="mtv_jax.weights.syncnet",
    class_names=("SyncNet",),
    folder="syncnet",
    example_inputs=_example_inputs,
)
