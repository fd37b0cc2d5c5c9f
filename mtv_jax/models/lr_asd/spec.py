"""Declares LR-ASD (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.lr_asd.config import LRASDConfig
from mtv_jax.models.lr_asd.model import CEPSTRA, LRASD, SOUND_FRAMES
from mtv_jax.models.spec import NetworkSpec


def _example_inputs(config: LRASDConfig) -> tuple[Any, ...]:
    faces = jax.ShapeDtypeStruct((1, 3, 16, 16), jnp.float32)
    cepstra = jax.ShapeDtypeStruct((1, 3 * SOUND_FRAMES, CEPSTRA), jnp.float32)
    return faces, cepstra, jax.ShapeDtypeStruct((1,), jnp.int32)


SPEC = NetworkSpec(
    name="lr_asd",
    module=LRASD,
    config=LRASDConfig,
    weights="mtv_jax.weights.lr_asd",
    class_names=("LRASD",),
    folder="active_speaker",
    example_inputs=_example_inputs,
)
