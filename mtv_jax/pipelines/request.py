"""A request to a pipeline: its sounds, the size of the video, and the notes that are logged about both.

Nothing here needs a network.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from mtv_jax.audio.tracks import MIX
from mtv_jax.io.audio import Recording, read_recording
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory
from mtv_jax.io.limits import MAX_RATE, MIN_RATE, check_clip
from mtv_jax.io.notes import note
from mtv_jax.models.mst_controlnet.config import MAX_SPEAKERS
from mtv_jax.names import control_tracks
from mtv_jax.pipelines.options import AUTO, NumFrames, VideoOptions
from mtv_jax.pipelines.run import GenerateConfig
from mtv_jax.weights.model_index import PipelineDefaults

SOUNDS = (*control_tracks(MAX_SPEAKERS), MIX)
"""Names of sounds: each track, or `audio` for one mixed file."""

SOUND_SUFFIXES = (".wav", ".flac")
"""File suffixes of the tracks in a folder that `mtv_jax.demix` wrote."""

_SHORTEST = 5
"""Minimum number of frames of `auto`: fewer show no movement."""
_NOTED_SECONDS = 0.01
_ROUNDING = Fraction(1, 20)
"""Share of a frame by which a sound may be too short for it, since lengths in samples and frames rarely agree."""

Sound = str | os.PathLike | Recording
"""A file, or its decoded sound."""


def sound_files(tracks: Mapping[str, Sound] | None, named: Mapping[str, Sound | None]) -> dict[str, Sound]:
    """The sounds by name (`SOUNDS`): `tracks`, and those given by `named` arguments, which take precedence.

    Raises UserError for a track of an unknown name.
    """
    tracks = tracks or {}
    if unknown := sorted(set(tracks) - set(SOUNDS)):
        raise UserError(f"tracks: {', '.join(unknown)}: known names are {', '.join(SOUNDS)}")
    given = {**tracks, **{name: path for name, path in named.items() if path is not None}}
    return {name: given[name] for name in SOUNDS if name in given}


def read_sounds(files: Mapping[str, Sound], keep: float | Fraction | None) -> dict[str, Recording]:
    """Decodes each file once; of a long one the first `keep` seconds (None: all) stay in memory."""
    return {
        name: sound if isinstance(sound, Recording) else read_recording(sound, keep=keep, empty=True)
        for name, sound in files.items()
    }


def paths_of(files: Mapping[str, Sound]) -> dict[str, str | os.PathLike]:
    """The file of each sound."""
    return {name: sound.path if isinstance(sound, Recording) else sound for name, sound in files.items()}


def track_folder(folder: str | os.PathLike) -> dict[str, Path]:
    """The tracks in a folder as `mtv_jax.demix` writes one: `speech.wav`, `effects.flac` and so on.

    Raises UserError if there is none, or one track in two files.
    """
    folder, found = existing_directory(folder), {}
    for name in control_tracks(MAX_SPEAKERS):
        files = [folder / f"{name}{suffix}" for suffix in SOUND_SUFFIXES]
        files = [file for file in files if file.is_file()]
        if len(files) > 1:
            raise UserError(f"{folder}: both {files[0].name} and {files[1].name}; remove one of them")
        if files:
            found[name] = files[0]
    if not found:
        names = ", ".join(f"{name}.wav" for name in control_tracks(1))
        raise UserError(
            f"{folder}: no tracks in it, such as python -m mtv_jax.demix writes ({names}, or .flac)"
        )
    return found


def check_negative_prompt(prompt: str | None, config: GenerateConfig, tracks: Sequence[str]) -> None:
    """Raises UserError for a negative prompt without guidance, where it has no effect."""
    if prompt is not None and set(config.groups(tracks)[1]) == {1}:
        raise UserError("negative_prompt: has no effect at guidance_scale 1; use a scale above 1")


@dataclass(frozen=True)
class Limits:
    """Sounds and sizes that a pipeline accepts, from its configs.

    Attributes:
      defaults: of the pipeline.
      frames, pixels: what the length (1 + `frames` * k) and the sides of a video must be divisible by.
      needs_full_audio: whether the features of a clip depend on the sound after it.
    """

    defaults: PipelineDefaults
    frames: int
    pixels: int
    needs_full_audio: bool


def read_request(
    limits: Limits, files: Mapping[str, Sound], options: VideoOptions
) -> tuple[dict[str, Recording], ClipSize]:
    """The decoded sounds and the size of a video.

    Only the part of a sound that the video can need is kept in memory. Raises UserError for sounds that cannot be
    read, and for sizes that the model does not support.
    """
    check_rate(options.fps)
    size = limits.defaults.clip.replace(fps=options.fps, height=options.height, width=options.width)
    longest = limits.defaults.sampling.max_num_frames
    whole = MIX in files or limits.needs_full_audio
    keep = None if whole else seconds_needed(size, options.num_frames, longest)
    sounds = read_sounds(files, keep)
    clip = video_size(
        size,
        {name: sound.duration for name, sound in sounds.items()},
        num_frames=options.num_frames,
        longest=longest,
        frames=limits.frames,
        pixels=limits.pixels,
        steps=options.steps(limits.defaults.sampling),
        force=options.force,
    )
    return sounds, clip


def seconds_needed(size: ClipSize, num_frames: NumFrames, longest: int | None) -> Fraction | None:
    """Upper bound in seconds on the sound that a video needs, by the same rules as `video_size`; None: unknown."""
    count = num_frames if isinstance(num_frames, int) else max(size.num_frames, longest or 0)
    return count / size.fps if count > 0 and size.fps > 0 else None


def video_size(
    size: ClipSize,
    seconds: Mapping[str, float],
    *,
    num_frames: NumFrames,
    longest: int | None,
    frames: int,
    pixels: int,
    steps: int,
    force: bool = False,
) -> ClipSize:
    """`size` with the requested length.

    Args:
      size: of the model's clips, with the requested rate, height and width.
      seconds: the length of each sound, by name.
      num_frames: a number; "auto" (or None) is the length of the longest sound if the model is known to support
        lengths other than that of its training, otherwise the length of its training.
      longest: largest number of frames that the model is known to support in one call; None: unknown.
      frames, pixels: what the length (1 + `frames` * k) and the sides must be divisible by.
      steps: of the sampler.
      force: ignore the limits of `mtv_jax.io.limits`.

    Raises UserError for sizes that the model does not support, or that exceed the limits.
    """
    if isinstance(num_frames, str) and num_frames != AUTO:
        raise UserError(f"num_frames {num_frames!r}: must be a number or {AUTO!r}")
    if num_frames is None or num_frames == AUTO:
        num_frames = _filled(size, list(seconds.values()), longest, frames)
    size = size.replace(num_frames=num_frames)
    size.check(frames=frames, pixels=pixels)
    check_clip(size.num_frames, size.fps, size.height, size.width, steps=steps, force=force)
    return size


def check_rate(fps: float | Fraction | None) -> None:
    """Raises UserError for a frame rate outside the limits."""
    if fps is not None and not (math.isfinite(fps) and MIN_RATE <= fps <= MAX_RATE):
        raise UserError(f"fps {fps}: must be from {MIN_RATE} to {MAX_RATE}")


def _filled(size: ClipSize, seconds: Sequence[float], longest: int | None, step: int) -> int:
    """Frames that the longest sound fills, 1 + `step` * k, up to `longest`; without sound, those of `size`."""
    if not any(seconds) or longest is None:
        return size.num_frames
    count = math.floor(Fraction(max(seconds)) * size.fps + _ROUNDING)
    count = min(max(count, _SHORTEST), longest)
    return (count - 1) // step * step + 1


def log_adjustments(clip: ClipSize, defaults: PipelineDefaults, sounds: Mapping[str, Recording]) -> None:
    """Logs a warning for each sound that is cut or padded, and for sizes that the model was not trained at."""
    trained = defaults.clip
    for name, sound in sounds.items():
        _log_length_mismatch(name, sound, float(clip.duration))
    if (clip.height, clip.width) != (trained.height, trained.width):
        note(
            f"size {clip.width} x {clip.height}: this model was trained at {trained.width} x {trained.height} alone; "
            "at others things may be doubled or deformed"
        )
    if clip.fps != trained.fps and not trained.native_rate:
        note(
            f"fps {float(clip.fps):g}: this model was trained at {float(trained.fps):g} alone; at others movements "
            "may be too fast or too slow"
        )
    known = defaults.sampling.max_num_frames
    longest = max(trained.num_frames, known or 0)
    if (known is None and clip.num_frames != trained.num_frames) or clip.num_frames > longest:
        also = f" and is known to keep in step up to {longest}" if longest > trained.num_frames else " alone"
        note(
            f"num_frames {clip.num_frames}: this model was trained at {trained.num_frames}{also}; at others it may "
            "not keep in step with its sound"
        )


def _log_length_mismatch(name: str, sound: Recording, seconds: float) -> None:
    if abs(sound.duration - seconds) < _NOTED_SECONDS:
        return
    done = "cut" if sound.duration > seconds else "padded with silence"
    note(f"{name} {sound.path}: sound of {sound.duration:.2f} s: {done} to {seconds:.2f} s")
