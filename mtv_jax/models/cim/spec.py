"""Declares Maestro's Condition Injection Module (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.cim.config import CIMConfig
from mtv_jax.models.cim.model import ConditionInjectionModule
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: CIMConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, 2, config.embedding_dim), jnp.float32),)


SPEC = NetworkSpec(
    name="cim",
    module=ConditionInjectionModule,
    config=CIMConfig,
    weights="mtv_jax.weights.cim",
    class_names=("ConditionInjectionModule",),
    folder="cim",
    example_inputs=_example_inputs,
)
