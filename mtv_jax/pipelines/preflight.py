"""Limits of a pipeline folder from its configs alone, so that requests are checked before networks are loaded."""

import os
from typing import Any

from mtv_jax.audio.pretrained import needs_full_audio
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.request import Limits
from mtv_jax.weights.model_index import read_defaults
from mtv_jax.weights.pretrained import load_config, pipeline_parts


def folder_limits(pipeline: str | os.PathLike) -> Limits:
    """`Pipeline.limits` of a preset, a pipeline folder or a training directory. Raises UserError if there is none."""
    folder = pipeline_folder(pipeline)
    vae: Any = load_config(folder / "vae")
    denoiser: Any = load_config(pipeline_parts(folder)[0])
    return Limits(
        read_defaults(folder),
        frames=vae.temporal_compression_ratio,
        pixels=vae.spatial_compression_ratio * denoiser.patch_size,
        needs_full_audio=needs_full_audio(folder / "audio_encoder"),
    )
