"""Shards of the clip that comes with the package, for trying a training without any data."""

import importlib.resources
from pathlib import Path

from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR
from mtv_jax.curation.commands import run_and_pack
from mtv_jax.curation.config import CurateConfig
from mtv_jax.curation.executors.inline import InlineExecutor
from mtv_jax.curation.settings import Settings
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
    settings = Settings(
        videos=str(clips),
        size=size.replace(num_frames=_FRAMES) if frames_only else size,
        stride=6,
        separator=DEFAULT_SEPARATOR,
        frames_only=frames_only,
        config=CurateConfig.plain(),
    )
    run_and_pack(folder, settings, InlineExecutor)
    return folder
