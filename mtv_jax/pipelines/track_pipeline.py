"""Pipelines whose sounds are tracks that the denoiser knows by name: MTV, and CogVideoX, which takes none."""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR
from mtv_jax.audio.silence import note_silence
from mtv_jax.audio.tracks import MIX, check_sounds, make_tracks, mixed
from mtv_jax.io.audio import Recording
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file
from mtv_jax.names import TRACK_RATE
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.pipelines.keyframes import Picture
from mtv_jax.pipelines.options import VideoOptions
from mtv_jax.pipelines.preflight import folder_limits
from mtv_jax.pipelines.request import (
    Sound,
    check_negative_prompt,
    log_adjustments,
    paths_of,
    read_request,
    sound_files,
)
from mtv_jax.pipelines.run import Request
from mtv_jax.pipelines.timeline.prompts import check_prompt
from mtv_jax.pipelines.video import Video

_NAMED = ("speech", "speech2", "effects", "music")
"""Tracks that are arguments of a call."""


@dataclass(frozen=True)
class TrackPipeline(Pipeline, ABC):
    """A prompt, keyframes, and a sound for each of the `tracks` of its denoiser."""

    def __call__(
        self,
        prompt: str,
        *,
        negative_prompt: str | None = None,
        tracks: Mapping[str, Sound] | None = None,
        speech: Sound | None = None,
        effects: Sound | None = None,
        music: Sound | None = None,
        speech2: Sound | None = None,
        audio: Sound | None = None,
        separator: str = DEFAULT_SEPARATOR,
        normalize_loudness: bool = True,
        keyframes: Mapping[int, Picture] | None = None,
        **options: Any,
    ) -> Video:
        """Makes a video.

        Args:
          prompt: describes the video; not blank.
          negative_prompt: what guidance steers away from; by default as the model was trained (no text at all), or an
            empty prompt for a CogVideoX of diffusers.
          tracks: a sound file for each track by its name, `speech`, `effects` and `music` (`speech2`, ... for a model
            of more speakers); a missing one is silence. A file that is already decoded may be given
            (`mtv_jax.io.audio.read_recording`).
          speech, effects, music, speech2: the same, one by one; they take precedence over `tracks`.
          audio: one mixed file instead, separated by `separator` first.
          normalize_loudness: scale speech to the loudness of training before it is encoded, since quiet speech hardly
            moves lips otherwise. Silence stays silent, and the sound of the video is not changed.
          keyframes: pictures (files or uint8 [H W 3]) by pixel frame. An image-to-video model needs one at frame
            0, and takes no other.
          options: size, sampling, seed, ...: the fields of `mtv_jax.pipelines.options.VideoOptions`.

        Returns:
          The video with the mixed sound (full rate, cut or padded to the video's length), silent if no sound was given.
          What is cut or padded, and a size that the model was never trained at, are logged as warnings.

        Raises:
          UserError: sizes that do not fit the model or are out of bounds, sound that cannot be read, sound for a model
            without, a blank prompt, a guidance scale below 0 or above 100, a negative prompt without guidance.
        """
        how = self.read_options(options)
        check_prompt(prompt)
        files = _files(tracks, audio, speech=speech, speech2=speech2, effects=effects, music=music)
        self.check_sounds(files)
        config = how.config(self.defaults.sampling, self.tracks)
        check_negative_prompt(negative_prompt, config, self.tracks)
        sounds, clip = read_request(self.limits, files, how)
        log_adjustments(clip, self.defaults, sounds)
        heard = self.tracks_of(sounds, clip, separator=separator, normalize_loudness=normalize_loudness)
        request = Request(prompt, heard, *how.keys(), negative_prompt, keyframes or {})
        return self.make(request, sounds, clip, config, how)

    @classmethod
    def preflight(cls, folder: Path, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], ClipSize]:
        """As of the base class."""
        sizes = {name: arguments[name] for name in arguments if name not in cls.own_arguments()}
        named = {name: arguments.get(name) for name in _NAMED}
        files = _files(arguments.get("tracks"), arguments.get("audio"), **named)
        for picture in arguments.get("keyframes", {}).values():
            existing_file(picture)
        sounds, clip = read_request(folder_limits(folder), files, VideoOptions(**sizes))
        rest = {name: value for name, value in arguments.items() if name not in (*_NAMED, "audio")}
        return rest | {"tracks": sounds}, clip

    def check_sounds(self, files: Mapping[str, Sound]) -> None:
        """Raises UserError for sounds that this pipeline does not take."""
        if files and not self.tracks:
            raise UserError(f"{', '.join(files)}: this pipeline has no controlnet; it takes no sound")
        check_sounds(paths_of(files), self.tracks)

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


def _files(
    tracks: Mapping[str, Sound] | None, audio: Sound | None, **named: Sound | None
) -> dict[str, Sound]:
    return sound_files(tracks, {**named, MIX: audio})
