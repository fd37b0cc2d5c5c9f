"""What can be known of a video before any network is loaded: its sounds and its size."""

import os
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from mtv_jax.audio.pretrained import needs_full_audio
from mtv_jax.audio.tracks import MIX
from mtv_jax.io.audio import Recording
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.request import (
    NumFrames,
    Sound,
    check_rate,
    read_sounds,
    seconds_needed,
    video_size,
)
from mtv_jax.weights.model_index import read_defaults
from mtv_jax.weights.pretrained import load_config


def check_request(
    pipeline: str | os.PathLike,
    files: Mapping[str, Sound],
    *,
    num_frames: NumFrames,
    fps: float | Fraction | None,
    height: int | None,
    width: int | None,
    steps: int | None,
    force: bool = False,
) -> tuple[dict[str, Recording], ClipSize]:
    """The decoded sounds and the size of a video, as `Pipeline.__call__` with the same arguments makes it.

    Raises UserError for sounds that cannot be read, and for sizes that the model cannot make.
    """
    folder = pipeline_folder(pipeline)
    defaults = read_defaults(folder)
    check_rate(fps)
    size = defaults.clip.replace(fps=fps, height=height, width=width)
    longest = defaults.sampling.max_num_frames
    vae: Any = load_config(folder / "vae")
    patch = load_config(folder / "transformer").patch_size
    whole = MIX in files or needs_full_audio(folder / "audio_encoder")
    sounds = read_sounds(files, None if whole else seconds_needed(size, num_frames, longest))
    clip = video_size(
        size,
        {name: sound.duration for name, sound in sounds.items()},
        num_frames=num_frames,
        longest=longest,
        frames=vae.temporal_compression_ratio,
        pixels=vae.spatial_compression_ratio * patch,
        steps=defaults.sampling.num_inference_steps if steps is None else steps,
        force=force,
    )
    return sounds, clip
