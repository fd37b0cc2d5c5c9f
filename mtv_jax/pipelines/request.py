"""A request to a pipeline: its sounds, the size of the video, and the notes that are logged about both.

Nothing here needs a network.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from mtv_jax.audio.tracks import MIX, by_track, check_persons, check_sounds
from mtv_jax.io.audio import Recording, read_recording
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory
from mtv_jax.io.limits import MAX_RATE, MIN_RATE, check_clip
from mtv_jax.io.notes import note
from mtv_jax.models.mst_controlnet.config import MAX_SPEAKERS
from mtv_jax.names import PERSON, control_tracks, person_of, track_name
from mtv_jax.pipelines.options import AUTO, NumFrames, VideoOptions
from mtv_jax.pipelines.run import GenerateConfig
from mtv_jax.pipelines.timeline.grid import total_frames
from mtv_jax.pipelines.timeline.plan import Timeline
from mtv_jax.pipelines.timeline.prompts import Prompts, texts_of
from mtv_jax.text.template import persons_in
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

    `tracks` may be named by speakers too (`speech:Person2`). Raises UserError for a track of an unknown name.
    """
    tracks = by_track(tracks or {})
    if unknown := sorted(set(tracks) - set(SOUNDS)):
        raise UserError(f"tracks: {', '.join(unknown)}: known names are {', '.join(SOUNDS)}")
    given = {**tracks, **{name: path for name, path in named.items() if path is not None}}
    return {name: given[name] for name in SOUNDS if name in given}


def check_tracks(files: Mapping[str, Sound], taken: Sequence[str]) -> None:
    """Raises UserError for sounds that a pipeline of these tracks does not take."""
    if files and not taken:
        raise UserError(f"{', '.join(files)}: this pipeline has no controlnet; it takes no sound")
    check_sounds(paths_of(files), taken)


def check_speakers(tracks: Iterable[str], prompt: Prompts) -> None:
    """Raises UserError for speakers that no text names, and for a gap in their numbers.

    `tracks` are by the names that were given: who speaks is bound by the text, so a speaker that is given as a person
    (`speech:Person2`) must be in it.
    """
    described = {person for text in texts_of(prompt) for person in persons_in(text)}
    pairs = [(name, track_name(name) or name) for name in tracks]
    for name, track in pairs:
        if name != track and person_of(track) not in described:
            raise UserError(
                f"{name}: no prompt names {PERSON}{person_of(track)}; describe that person, as '{PERSON}1: ...'"
            )
    check_persons([track for _, track in pairs], described)


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
      windows: whether a video may be made in several windows.
      tracks: names of the tracks that it takes.
    """

    defaults: PipelineDefaults
    frames: int
    pixels: int
    needs_full_audio: bool
    windows: bool = False
    tracks: tuple[str, ...] = ()


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
    exact = options.duration is not None
    num_frames = total_frames(options.duration, size.fps) if exact else options.num_frames
    # The autoencoder may make a few frames more than are asked for, which hear their sound too.
    more = limits.frames if exact else 0
    keep = None if whole else seconds_needed(size, num_frames, longest, more=more)
    sounds = read_sounds(files, keep)
    clip = video_size(
        size,
        {name: sound.duration for name, sound in sounds.items()},
        num_frames=num_frames,
        longest=longest,
        frames=1 if exact else limits.frames,
        pixels=limits.pixels,
        steps=options.steps(limits.defaults.sampling),
        force=options.force,
    )
    return sounds, clip


def seconds_needed(
    size: ClipSize, num_frames: NumFrames, longest: int | None, *, more: int = 0
) -> Fraction | None:
    """Upper bound in seconds on the sound that a video needs, by the same rules as `video_size`; None: unknown.

    `more` frames are added to it.
    """
    count = num_frames if isinstance(num_frames, int) else max(size.num_frames, longest or 0)
    return (count + more) / size.fps if count > 0 and size.fps > 0 else None


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


def log_adjustments(
    clip: ClipSize, defaults: PipelineDefaults, sounds: Mapping[str, Recording], *, at_once: int | None = None
) -> None:
    """Logs a warning for each sound that is cut or padded, and for sizes that the model was not trained at.

    `at_once` is how many frames of the video are sampled at once; None: all.
    """
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
    count = at_once or clip.num_frames
    if (known is None and count != trained.num_frames) or count > longest:
        also = f" and is known to keep in step up to {longest}" if longest > trained.num_frames else " alone"
        name = "num_frames" if at_once in (None, clip.num_frames) else "window_frames"
        note(
            f"{name} {count}: this model was trained at {trained.num_frames}{also}; at others it may "
            "not keep in step with its sound"
        )


def note_dropped(timeline: Timeline) -> None:
    """Logs a warning if more frames are generated than were asked for."""
    dropped = timeline.generated_frames - timeline.num_frames
    if dropped:
        note(
            f"{timeline.num_frames} frames: the autoencoder makes 1 + {timeline.ratio}k; "
            f"{timeline.generated_frames} are generated and the last {dropped} dropped"
        )


def _log_length_mismatch(name: str, sound: Recording, seconds: float) -> None:
    if abs(sound.duration - seconds) < _NOTED_SECONDS:
        return
    done = "cut" if sound.duration > seconds else "padded with silence"
    note(f"{name} {sound.path}: sound of {sound.duration:.2f} s: {done} to {seconds:.2f} s")
