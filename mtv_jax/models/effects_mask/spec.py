"""Declares the effects mask's network (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.effects_mask.config import BINS, EffectsMaskConfig
from mtv_jax.models.effects_mask.model import EffectsMask
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: EffectsMaskConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, 2, BINS), jnp.float32),)


SPEC = NetworkSpec(
    name="effects_mask",
    module=EffectsMask,
    config=EffectsMaskConfig,
    weights="mtv_jax.weights.effects_mask",
    class_names=("EffectsMask",),
    folder="effects_mask",
    example_inputs=_example_inputs,
)
"""The effects mask: the project's own tensor names, in torch layouts."""
