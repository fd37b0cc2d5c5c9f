"""Declares AudioSep's ResUNet (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.resunet.config import ResUNetConfig
from mtv_jax.models.resunet.model import AudioSepResUNet
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: ResUNetConfig) -> tuple[Any, ...]:
    return (
        jax.ShapeDtypeStruct((1, config.n_fft), jnp.float32),
        jax.ShapeDtypeStruct((1, config.condition_size), jnp.float32),
    )


SPEC = NetworkSpec(
    name="resunet",
    module=AudioSepResUNet,
    config=ResUNetConfig,
    weights="mtv_jax.weights.resunet",
    class_names=("AudioSepResUNet",),
    folder="separator",
    example_inputs=_example_inputs,
)
