"""Declares the text encoders (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.spec import NetworkSpec
from mtv_jax.models.t5.config import T5Config
from mtv_jax.models.t5.model import T5Encoder


def _example_inputs(config: T5Config) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, 2), jnp.int32),)


SPEC = NetworkSpec(
    name="t5",
    module=T5Encoder,
    config=T5Config,
    weights="mtv_jax.weights.t5",
    class_names=(
        "T5EncoderModel",
        "T5ForConditionalGeneration",
        "T5Model",
        "UMT5EncoderModel",
        "UMT5ForConditionalGeneration",
        "UMT5Model",
    ),
    folder="text_encoder",
    example_inputs=_example_inputs,
)
