"""What is asked of a pipeline: its sounds, the size of the video, and what the user is told about both.

Looks at flags and at the headers of files; nothing here needs a network.
"""

import math
import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from mtv_jax.io.audio import audio_info
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory
from mtv_jax.io.limits import MAX_RATE, MIN_RATE, check_clip
from mtv_jax.io.notes import note
from mtv_jax.typing import control_tracks
from mtv_jax.weights.folder import PipelineDefaults

AUTO = "auto"
NumFrames = int | Literal["auto"] | None

SOUNDS = (*control_tracks(2), "audio")
"""What sound can be given as: each track by its name, or one mixed file."""

SOUND_SUFFIXES = (".wav", ".flac")
"""Of the tracks in a folder that `mtv_jax.demix` wrote."""

_SHORTEST = 5
"""Frames that `auto` makes at least: of fewer no movement is seen."""
_TOLD_SECONDS = 0.01
_ROUNDING = Fraction(1, 20)
"""Of a frame, by which a sound may be too short for it: lengths in samples and in frames seldom agree exactly."""

_Path = str | os.PathLike


def sound_files(tracks: Mapping[str, _Path] | None, named: Mapping[str, _Path | None]) -> dict[str, _Path]:
    """The sound files by name (`SOUNDS`): `tracks`, and those given by `named` arguments, which go first.

    Raises UserError for a track of an unknown name.
    """
    tracks = tracks or {}
    if unknown := sorted(set(tracks) - set(SOUNDS)):
        raise UserError(f"tracks: {', '.join(unknown)}: known names are {', '.join(SOUNDS)}")
    given = {**tracks, **{name: path for name, path in named.items() if path is not None}}
    return {name: given[name] for name in SOUNDS if name in given}


def track_folder(folder: _Path) -> dict[str, _Path]:
    """The tracks in a folder as `mtv_jax.demix` writes one: `speech.wav`, `effects.flac` and so on.

    Raises UserError if there is none, or one track in two files.
    """
    folder, found = existing_directory(folder), {}
    for name in control_tracks(2):
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


def check_prompt(prompt: str, name: str = "prompt") -> None:
    """Raises UserError for a prompt that is blank, or was not UTF-8 on the command line or in a file."""
    if not prompt.strip():
        raise UserError(f"{name}: is blank; say what is to be seen")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = prompt.encode("utf-8", "backslashreplace").decode()
        raise UserError(f"{name} {shown[:60]!r}: is not UTF-8 at character {error.start}") from error


def check_negative_prompt(prompt: str | None, guidance_scale: float | Mapping[str, float]) -> None:
    """Raises UserError for a negative prompt that no guidance would lead away from."""
    scales = guidance_scale.values() if isinstance(guidance_scale, Mapping) else [guidance_scale]
    if prompt is not None and set(scales) == {1}:
        raise UserError("negative_prompt: does nothing at guidance_scale 1; give it a scale above 1")


def video_size(
    defaults: PipelineDefaults,
    files: Mapping[str, _Path],
    *,
    num_frames: NumFrames,
    frames: int,
    pixels: int,
    force: bool = False,
    **values: Any,
) -> PipelineDefaults:
    """The defaults with the `values` that are not None, and with the length that was asked for.

    Args:
      defaults: of the model.
      files: the sounds, by name.
      num_frames: a number; or "auto" (None means the same), which is as many as the sound fills where the model can
        make videos of another length than its own, and else its own length.
      frames, pixels: what the length (1 + `frames` * k) and the sides must be divisible by.
      force: past the bounds of `mtv_jax.io.limits`.
      values: other fields of the defaults.

    Raises UserError for sizes that the model cannot make, or that are out of all bounds.
    """
    if isinstance(num_frames, str) and num_frames != AUTO:
        raise UserError(f"num_frames {num_frames!r}: must be a number or {AUTO!r}")
    _check_rate(values.get("fps"))
    size = defaults.replace(**values)
    if num_frames is None or num_frames == AUTO:
        size = size.replace(num_frames=_filled(size, files.values(), frames))
    else:
        size = size.replace(num_frames=num_frames)
    size.check(frames=frames, pixels=pixels)
    check_clip(
        size.num_frames, size.fps, size.height, size.width, steps=size.num_inference_steps, force=force
    )
    return size


def _check_rate(fps: float | Fraction | None) -> None:
    if fps is not None and not (math.isfinite(fps) and MIN_RATE <= fps <= MAX_RATE):
        raise UserError(f"fps {fps}: must be from {MIN_RATE} to {MAX_RATE}")


def _filled(size: PipelineDefaults, files: Iterable[_Path], step: int) -> int:
    """How many frames the longest sound fills, 1 + `step` * k, within what the model can; its own length without."""
    lengths = [audio_info(path).duration for path in files]
    if not lengths or size.max_num_frames is None:
        return size.num_frames
    count = math.floor(Fraction(max(lengths)) * size.fps + _ROUNDING)
    count = min(max(count, _SHORTEST), size.max_num_frames)
    return (count - 1) // step * step + 1


def tell(size: PipelineDefaults, defaults: PipelineDefaults, files: Mapping[str, _Path]) -> None:
    """Notes which sound is cut or padded, and which of the sizes the model was never trained at."""
    for name, path in files.items():
        _tell_length(name, path, float(size.num_frames / size.fps))
    if (size.height, size.width) != (defaults.height, defaults.width):
        note(
            f"size {size.width} x {size.height}: this model was trained at {defaults.width} x {defaults.height} alone; "
            "at others things may be doubled or deformed"
        )
    if size.fps != defaults.fps and not defaults.native_rate:
        note(
            f"fps {float(size.fps):g}: this model was trained at {float(defaults.fps):g} alone; at others movements "
            "may be too fast or too slow"
        )
    longest = max(defaults.num_frames, defaults.max_num_frames or 0)
    known = defaults.max_num_frames is not None or size.num_frames == defaults.num_frames
    if not known or size.num_frames > longest:
        also = f" and is known to keep in step up to {longest}" if longest > defaults.num_frames else " alone"
        note(
            f"num_frames {size.num_frames}: this model was trained at {defaults.num_frames}{also}; at others it may "
            "not keep in step with its sound"
        )


def _tell_length(name: str, path: _Path, seconds: float) -> None:
    length = audio_info(path).duration
    if abs(length - seconds) < _TOLD_SECONDS:
        return
    done = "cut" if length > seconds else "padded with silence"
    note(f"{name} {Path(path)}: sound of {length:.2f} s: {done} to {seconds:.2f} s")
