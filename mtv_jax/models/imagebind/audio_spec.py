"""Declares ImageBind's network for sounds alone (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.imagebind.config import ImageBindAudioConfig
from mtv_jax.models.imagebind.model import ImageBindAudio
from mtv_jax.models.spec import NetworkSpec


def example_inputs(config: ImageBindAudioConfig) -> tuple[Any, ...]:
    """The shape of one spectrogram."""
    return (jax.ShapeDtypeStruct((1, config.num_mel_bins, config.target_length), jnp.float32),)


SPEC = NetworkSpec(
    name="imagebind_audio",
    module=ImageBindAudio,
    config=ImageBindAudioConfig,
    weights="mtv_jax.weights.imagebind_audio",
    class_names=("ImageBindAudioModel",),
    folder="imagebind",
    example_inputs=example_inputs,
    groups=("audio",),
)
