"""Pipelines whose sounds are tracks that the denoiser knows by name: MTV, and CogVideoX, which takes none."""

import os
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR
from mtv_jax.audio.silence import note_silence
from mtv_jax.audio.tracks import MIX, make_tracks, mixed
from mtv_jax.io.audio import Recording
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file
from mtv_jax.names import TRACK_RATE
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.pipelines.keyframes import Picture
from mtv_jax.pipelines.options import VideoOptions
from mtv_jax.pipelines.preflight import Preflight, folder_limits
from mtv_jax.pipelines.request import (
    Limits,
    Sound,
    check_negative_prompt,
    check_speakers,
    check_tracks,
    log_adjustments,
    note_dropped,
    read_request,
    sound_files,
)
from mtv_jax.pipelines.run import Request
from mtv_jax.pipelines.timeline.grid import Grid
from mtv_jax.pipelines.timeline.plan import KeyframeFit, LongVideo, StoryOptions, Timeline, plan_timeline
from mtv_jax.pipelines.timeline.prompts import Prompts, PromptSpacing, texts_of
from mtv_jax.pipelines.video import Video

_NAMED = ("speech", "effects", "music")
"""Tracks that are arguments of a call."""
_STORY = tuple(option.name for option in fields(StoryOptions))


@dataclass(frozen=True)
class TrackPipeline(Pipeline, ABC):
    """Prompts, keyframes, and a sound for each of the `tracks` of its denoiser."""

    def __call__(
        self,
        prompt: Prompts,
        *,
        negative_prompt: str | None = None,
        tracks: Mapping[str, Sound] | None = None,
        speech: Sound | None = None,
        effects: Sound | None = None,
        music: Sound | None = None,
        audio: Sound | None = None,
        separator: str = DEFAULT_SEPARATOR,
        normalize_loudness: bool = True,
        keyframes: Mapping[int | str, Picture] | None = None,
        keyframe_fit: KeyframeFit = "crop",
        transition: float = 0.0,
        prompt_spacing: PromptSpacing | None = None,
        window_frames: int | None = None,
        window_overlap: int | None = None,
        long_video: LongVideo = "latent",
        **options: Any,
    ) -> Video:
        """Makes a video.

        A video that is longer than the model manages in one call is made in windows, and so is one of several prompts:
        a window begins where a prompt does (`mtv_jax.pipelines.timeline.plan`).

        Args:
          prompt: describes the video; not blank. Several: pairs of a second and a prompt, the first at 0, or a list of
            prompts with `prompt_spacing`.
          negative_prompt: what guidance steers away from; by default as the model was trained (no text at all), or an
            empty prompt for a CogVideoX of diffusers.
          tracks: a sound file for each track by its name, `speech`, `effects` and `music`; for a model of more speakers
            `speech:Person1`, `speech:Person2`, ..., who are in the prompt by these names. A missing one is silence. A
            file that is already decoded may be given (`mtv_jax.io.audio.read_recording`).
          speech, effects, music: the same, one by one; they take precedence over `tracks`.
          audio: one mixed file instead, separated by `separator` first.
          normalize_loudness: scale speech to the loudness of training before it is encoded, since quiet speech hardly
            moves lips otherwise. Silence stays silent, and the sound of the video is not changed.
          keyframes: pictures (files or uint8 [H W 3]) by frame (48) or second ("2.5s"), at most one a latent frame. An
            image-to-video model needs one at frame 0, and takes no other.
          keyframe_fit, transition, prompt_spacing, window_frames, window_overlap, long_video: the fields of
            `mtv_jax.pipelines.timeline.plan.StoryOptions`.
          options: size, sampling, seed, ...: the fields of `mtv_jax.pipelines.options.VideoOptions`.

        Returns:
          The video with the mixed sound (full rate, cut or padded to the video's length), silent if no sound was given.
          What is cut or padded, and a size that the model was never trained at, are logged as warnings.

        Raises:
          UserError: sizes that do not fit the model or are out of bounds, sound that cannot be read, sound for a model
            without, a blank prompt, a guidance scale below 0 or above 100, a negative prompt without guidance, a plan
            that does not fit (`plan_timeline`), a speaker whom no prompt names.
        """
        how = self.read_options(options)
        check_speakers(tracks or {}, prompt)
        files = sound_files(tracks, {"speech": speech, "effects": effects, "music": music, MIX: audio})
        check_tracks(files, self.tracks)
        config = how.config(self.defaults.sampling, self.tracks)
        check_negative_prompt(negative_prompt, config, self.tracks)
        sounds, clip = read_request(self.limits, files, how)
        story = StoryOptions(
            transition, prompt_spacing, keyframe_fit, window_frames, window_overlap, long_video
        )
        timeline = self.plan(self.limits, clip, prompt, keyframes, story)
        log_adjustments(clip, self.defaults, sounds, at_once=timeline.frames_at_once)
        note_dropped(timeline)
        whole = clip.replace(num_frames=timeline.generated_frames)
        heard = self.tracks_of(sounds, whole, separator=separator, normalize_loudness=normalize_loudness)
        pictures = {keyframe.frame: keyframe.picture for keyframe in timeline.keyframes.values()}
        request = Request(texts_of(prompt)[0], heard, *how.keys(), negative_prompt, pictures, keyframe_fit)
        return self.make(request, sounds, clip, config, how, timeline)

    @classmethod
    def plan(
        cls,
        limits: Limits,
        clip: ClipSize,
        prompt: Prompts,
        keyframes: Mapping[int | str, Picture] | None,
        options: StoryOptions,
    ) -> Timeline:
        """The plan of a video of this system. Raises UserError for one that it cannot make."""
        known = limits.defaults.sampling.max_num_frames
        longest = known or limits.defaults.clip.num_frames
        timeline = plan_timeline(
            Grid(clip.num_frames, clip.fps, limits.frames),
            prompt,
            longest=longest if limits.windows else None,
            full=known is None,
            keyframes=keyframes,
            options=options,
        )
        if not (limits.windows or timeline.is_plain):
            raise UserError(
                f"{len(timeline.windows)} windows: this {cls.__name__} makes a video in one; give one prompt and no "
                "window_frames"
            )
        return timeline

    @classmethod
    def preflight(
        cls, folder: Path, arguments: Mapping[str, Any], prompts: Sequence[Prompts] = ()
    ) -> Preflight:
        """As of the base class."""
        sizes = {name: arguments[name] for name in arguments if name not in cls.own_arguments()}
        tracks, keyframes = arguments.get("tracks"), arguments.get("keyframes")
        for prompt in prompts:
            check_speakers(tracks or {}, prompt)
        files = sound_files(tracks, {name: arguments.get(name) for name in (*_NAMED, MIX)})
        for picture in (keyframes or {}).values():
            if isinstance(picture, (str, os.PathLike)):
                existing_file(picture)
        limits, how = folder_limits(folder, windows=cls.takes_windows), VideoOptions(**sizes)
        check_tracks(files, limits.tracks)
        config = how.config(limits.defaults.sampling, limits.tracks)
        check_negative_prompt(arguments.get("negative_prompt"), config, limits.tracks)
        sounds, clip = read_request(limits, files, how)
        story = StoryOptions(**{name: arguments[name] for name in arguments if name in _STORY})
        timelines = [cls.plan(limits, clip, prompt, keyframes, story) for prompt in prompts]
        rest = {name: value for name, value in arguments.items() if name not in (*_NAMED, MIX)}
        return Preflight(rest | {"tracks": sounds}, clip, sounds, limits.tracks, timelines)

    def tracks_of(
        self,
        sounds: Mapping[str, Recording],
        clip: ClipSize,
        *,
        separator: str = DEFAULT_SEPARATOR,
        normalize_loudness: bool = True,
    ) -> dict[str, np.ndarray]:
        """The tracks of a request, float32 [s] at 16 kHz; logs a warning of those that were given and are silent."""
        if not self.tracks:
            return {}
        whole = bool(sounds) and self.needs_full_audio
        tracks = make_tracks(
            sounds,
            self.tracks,
            separator=separator,
            duration=None if whole else clip.duration,
            pad=not whole,
            normalize_loudness=normalize_loudness,
        )
        for name, sound in sounds.items():
            heard = mixed(tracks.values()) if name == MIX else tracks[name]
            note_silence(name, sound.path, heard, TRACK_RATE)
        return tracks
