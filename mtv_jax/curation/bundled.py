"""Shards of the clip that comes with the package, for trying a training without any data."""

import importlib.resources
from pathlib import Path

from mtv_jax.curation.build import BuildConfig, build_shards
from mtv_jax.curation.encoders import Encoders
from mtv_jax.data.manifests import MANIFEST
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.weights.model_index import default_clip_size

_FRAMES = 5
"""Frames of a clip for an autoencoder."""


def build_bundled_shards(folder: Path, *, frames_only: bool) -> Path:
    """`folder` with the shards, built unless it has some: encoded by the preset `tiny`, or frames only."""
    if (folder / MANIFEST).exists():
        return folder
    clips = Path(str(importlib.resources.files("mtv_jax.assets"))) / "clips"
    size = default_clip_size(pipeline_folder("tiny"))
    size = size.replace(num_frames=_FRAMES) if frames_only else size
    encoders = None if frames_only else Encoders.from_pretrained("tiny")
    build_shards(clips, folder, encoders, BuildConfig(size, stride=3, frames_only=frames_only))
    return folder
