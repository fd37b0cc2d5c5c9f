"""Declares CLAP's text half alone (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.clap.config import ClapTextConfig
from mtv_jax.models.clap.text import ClapText
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: ClapTextConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, 1), jnp.int32),)


SPEC = NetworkSpec(
    name="clap_text",
    module=ClapText,
    config=ClapTextConfig,
    weights="mtv_jax.weights.clap_text",
    class_names=("ClapTextModelWithProjection",),
    folder="clap",
    example_inputs=_example_inputs,
    groups=("text",),
)
