"""Limits of a pipeline folder from its configs alone, so that requests are checked before networks are loaded."""

import os
from typing import Any

from mtv_jax.audio.pretrained import needs_full_audio
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.request import Limits
from mtv_jax.weights.model_index import read_defaults
from mtv_jax.weights.pretrained import load_config


def folder_limits(pipeline: str | os.PathLike) -> Limits:
    """`Pipeline.limits` of a preset, a pipeline folder or a training directory. Raises UserError if there is none."""
    folder = pipeline_folder(pipeline)
    vae: Any = load_config(folder / "vae")
    patch = load_config(folder / "transformer").patch_size
    return Limits(
        read_defaults(folder),
        frames=vae.temporal_compression_ratio,
        pixels=vae.spatial_compression_ratio * patch,
        needs_full_audio=needs_full_audio(folder / "audio_encoder"),
    )
