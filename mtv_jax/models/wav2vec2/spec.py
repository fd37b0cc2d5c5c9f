"""Declares the speech encoder (`mtv_jax.models.spec`)."""

from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.spec import NetworkSpec
from mtv_jax.models.wav2vec2.config import Wav2Vec2Config
from mtv_jax.models.wav2vec2.model import Wav2Vec2


def _example_inputs(config: Wav2Vec2Config) -> tuple[Any, ...]:
    return (jax.ShapeDtypeStruct((1, 800), jnp.float32),)


SPEC = NetworkSpec(
    name="wav2vec2",
    module=Wav2Vec2,
    config=Wav2Vec2Config,
    weights="mtv_jax.weights.wav2vec2",
    class_names=("Wav2Vec2ForCTC", "Wav2Vec2ForPreTraining", "Wav2Vec2Model"),
    folder="audio_encoder",
    audio_encoder="mtv_jax.audio.pretrained:wav2vec2_encoder",
    example_inputs=_example_inputs,
)
