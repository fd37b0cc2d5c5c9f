"""Declares the sound encoder (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.beats.config import BEATsConfig
from mtv_jax.models.beats.model import BEATs
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: BEATsConfig) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, config.input_patch_size, config.input_patch_size), jnp.float32),)


def _make_parameters(model: BEATs, filter_bank: Any) -> None:
    """The network's call, and the classifier of some checkpoints, which the call does not include."""
    hidden_states = model(filter_bank)
    if model.config.num_classes is not None:
        model.class_probabilities(hidden_states[:, -1])


SPEC = NetworkSpec(
    name="beats",
    module=BEATs,
    config=BEATsConfig,
    weights="mtv_jax.weights.beats",
    class_names=("BEATs",),
    folder="audio_encoder",
    audio_encoder="mtv_jax.audio.pretrained:beats_encoder",
    example_inputs=_example_inputs,
    make_parameters=_make_parameters,
)
