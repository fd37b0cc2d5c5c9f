"""Limits of a pipeline folder from its configs alone, so that requests are checked before networks are loaded."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtv_jax.audio.pretrained import needs_full_audio
from mtv_jax.io.audio import Recording
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.request import Limits
from mtv_jax.pipelines.timeline.plan import Timeline
from mtv_jax.weights.model_index import read_defaults
from mtv_jax.weights.pretrained import load_config, pipeline_parts


@dataclass(frozen=True)
class Preflight:
    """What is known of a call before networks are loaded.

    Attributes:
      arguments: of the call, with its sounds decoded.
      clip: size of the video.
      sounds: by name.
      tracks: names of the tracks that the pipeline takes.
      timelines: the plan for each prompt.
    """

    arguments: Mapping[str, Any]
    clip: ClipSize
    sounds: Mapping[str, Recording]
    tracks: Sequence[str]
    timelines: Sequence[Timeline]


def folder_limits(pipeline: str | os.PathLike, *, windows: bool = False) -> Limits:
    """`Pipeline.limits` of a preset, a pipeline folder or a training directory; `windows`: of a system that takes some.

    Raises UserError if there is none.
    """
    folder = pipeline_folder(pipeline)
    vae: Any = load_config(folder / "vae")
    backbone, controlnet = pipeline_parts(folder)
    denoiser: Any = load_config(backbone)
    control: Any = load_config(controlnet) if controlnet else None
    return Limits(
        read_defaults(folder),
        frames=vae.temporal_compression_ratio,
        pixels=vae.spatial_compression_ratio * denoiser.patch_size,
        needs_full_audio=needs_full_audio(folder / "audio_encoder"),
        windows=windows and denoiser.frames_per_token == 1,
        tracks=control.tracks if control else (),
    )
