"""Declares CLIP's text encoder (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.clip_text.config import CLIPTextConfig
from mtv_jax.models.clip_text.model import CLIPTextModel
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: CLIPTextConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, 2), jnp.int32),)


SPEC = NetworkSpec(
    name="clip_text",
    module=CLIPTextModel,
    config=CLIPTextConfig,
    weights="mtv_jax.weights.clip_text",
    class_names=("CLIPTextModel",),
    folder="text_encoder",
    example_inputs=_example_inputs,
    groups=("text",),
    tokenizer="clip",
)
