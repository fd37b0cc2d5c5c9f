"""Declares CLAP (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.clap.config import ClapConfig
from mtv_jax.models.clap.model import Clap
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: ClapConfig) -> tuple[Any, ...]:
    mel = (1, config.audio.views, 2, config.audio.num_mel_bins)
    return jax.ShapeDtypeStruct(mel, jnp.float32), jax.ShapeDtypeStruct((1, 1), jnp.int32)


SPEC = NetworkSpec(
    name="clap",
    module=Clap,
    config=ClapConfig,
    weights="mtv_jax.weights.clap",
    class_names=("ClapModel",),
    folder="clap",
    example_inputs=_example_inputs,
    groups=("text", "audio"),
)
