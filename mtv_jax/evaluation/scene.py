"""A scene of the theatre as files, with sounds of any kind. `scene_suite` measures a video against one.

A scene is a folder with the sound files `speech.flac`, `effects.flac`, `music.flac` (silent where there is none) and
`scene.json`, an object of

    prompt       of the video, a text
    num_frames   of the video, a whole number
    fps          frames a second: a number, or a text such as "12" or "30000/1001"
    onsets       seconds at which the prop is struck, a list of numbers from the second frame on; [] if never
    mood         of the music: {"valence": 0 to 1, from sad to glad, "energy": 0 to 1, from calm to wild}; null: unknown
    theatre      {"seed", "index"}: the clip of the theatre whose heads, prop and decor it has; if it is left out, they
                 are read from the prompt, which has to be of the theatre's form (`mtv_jax.text.theatre_language`)

Whose mouth follows the speech is decided by the plan, and how far it opens by the track. `python -m mtv_jax.curate
scene` makes such a folder from a clip of the theatre, or from a prompt and sounds of your own.
"""

import argparse
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.audio.tracks import load_tracks
from mtv_jax.evaluation.report.contact_sheet import onsets as heard_onsets
from mtv_jax.io.audio import fit_length, read_audio, write_audio
from mtv_jax.io.cli import frame_rate
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, read_json_object, write_json
from mtv_jax.names import TRACK_RATE, TRACKS
from mtv_jax.text.theatre_language import plan_of_prompt, theatre_prompt
from mtv_jax.theatre import ClipPlan, Recordings, TheatreConfig, plan_clip, render_clip
from mtv_jax.theatre.plan import Prop
from mtv_jax.theatre.sounds import Performance, loudness
from mtv_jax.theatre.stage import Mood

FILE = "scene.json"
_NAMES = ("prompt", "num_frames", "fps", "onsets", "mood", "theatre")


@dataclass(frozen=True)
class Scene:
    """What should be seen and heard.

    Attributes:
      plan: who and what stands where, who speaks, when the prop is struck.
      prompt: in the paper's template.
      performance: the three tracks, and what they make the theatre show.
    """

    plan: ClipPlan
    prompt: str
    performance: Performance

    def seen_as(self, frames: np.ndarray, fps: float | Fraction) -> "Scene":
        """The scene at the length, rate and size of a video's frames [F H W 3]: cut, or extended by silence.

        Raises UserError for a size that the theatre cannot be drawn in.
        """
        count, height, width, _ = frames.shape
        config = self.plan.config
        if abs(float(fps) - float(config.fps)) > 1e-3:
            config = replace(config, fps=Fraction(fps).limit_denominator(1001))
        config = replace(config, num_frames=count, height=height, width=width)
        prop, end = self.plan.prop, config.num_frames / config.fps
        if prop is not None:
            onsets = tuple(onset for onset in prop.onsets if 1 / config.fps <= onset < end)
            prop = replace(prop, onsets=onsets)
        length = round(end * TRACK_RATE)
        tracks = {name: fit_length(wave, length) for name, wave in self.performance.tracks.items()}
        envelope = loudness(tracks["speech"], config.num_frames, config.fps)
        heard = Performance(tracks, {"speech": envelope}, self.performance.mood)
        return Scene(replace(self.plan, config=config, prop=prop), self.prompt, heard)


def write_scene(
    folder: str | os.PathLike,
    seed: int,
    index: int,
    recordings: Recordings | None = None,
    config: TheatreConfig | None = None,
) -> None:
    """Writes clip `index` of the theatre `seed` as a scene, with real sounds where `recordings` have some."""
    clip = render_clip(seed, index, config, recordings)
    prop, config = clip.plan.prop, clip.plan.config
    values = {
        "prompt": theatre_prompt(clip.words),
        "theatre": {"seed": seed, "index": index},
        "num_frames": config.num_frames,
        "fps": str(config.fps),
        "onsets": [round(onset, 4) for onset in prop.onsets] if prop else [],
        "mood": clip.truth.to_json()["mood"],
    }
    _write(folder, values, clip.tracks)


def write_own_scene(
    folder: str | os.PathLike,
    prompt: str,
    sounds: Mapping[str, str | os.PathLike],
    fps: Fraction,
    num_frames: int | None = None,
    onsets: Sequence[float] | None = None,
) -> list[float]:
    """Writes a scene made from a prompt of the theatre's form and sound files by track; other tracks are silent.

    Args:
      num_frames: by default as many as the longest sound fills.
      onsets: seconds of the strikes; by default those detected in the effects, if the prompt has a prop.

    Returns:
      The onsets.

    Raises:
      UserError: for a prompt of another form, sounds that cannot be read, and onsets outside the video.
    """
    tracks = load_tracks(sounds)
    count = num_frames or max(1, round(len(tracks["speech"]) * fps / TRACK_RATE))
    config = TheatreConfig(num_frames=count, fps=fps)
    plan = plan_of_prompt(prompt, config)
    if onsets is None:
        heard = heard_onsets(tracks["effects"]) if plan.prop else []
        onsets = [onset for onset in heard if 1 / fps <= onset < count / fps]
    _struck(Path(folder) / FILE, plan, tuple(onsets))
    values = {"prompt": prompt, "num_frames": count, "fps": str(fps), "onsets": sorted(onsets), "mood": None}
    length = round(count * TRACK_RATE / fps)
    _write(folder, values, {name: fit_length(tracks[name], length) for name in TRACKS})
    return list(onsets)


def _write(folder: str | os.PathLike, values: dict[str, Any], tracks: Mapping[str, np.ndarray]) -> None:
    """Writes the files of a scene, beside others that may be in the folder; FILE last, to mark it as complete."""
    folder = Path(folder)
    for name in TRACKS:
        write_audio(folder / f"{name}.flac", tracks[name], TRACK_RATE)
    write_json(folder / FILE, values)


def read_scene(folder: str | os.PathLike) -> Scene:
    """Reads a scene. Raises UserError, naming the field, for what is missing or cannot be read."""
    folder = existing_directory(folder)
    fields = _Fields(folder / FILE)
    prompt = fields.get("prompt", "a text", str)
    count = fields.get("num_frames", "a whole number", int)
    fps = fields.rate("fps")
    numbers = fields.get("onsets", "a list of seconds", list)
    onsets = tuple(sorted(fields.number("onsets", onset) for onset in numbers))
    mood = fields.mood("mood")
    config = TheatreConfig(num_frames=count, fps=fps)
    plan = fields.plan("theatre", prompt, config)
    plan = replace(plan, prop=_struck(folder / FILE, plan, onsets))
    length = round(count * TRACK_RATE / fps)
    tracks = {name: fit_length(read_audio(folder / f"{name}.flac", TRACK_RATE), length) for name in TRACKS}
    envelope = loudness(tracks["speech"], count, fps)
    return Scene(plan, prompt, Performance(tracks, {"speech": envelope}, mood))


class _Fields:
    """The fields of a scene.json, read by kind. Raises UserError for a field that is missing or of another kind."""

    def __init__(self, file: Path):
        self._file, self._values = file, read_json_object(file)

    def get(self, name: str, kind: str, *types: type) -> Any:
        """A required field of these types."""
        if name not in self._values:
            near = difflib.get_close_matches(name, set(self._values) - set(_NAMES), n=1)
            hint = f" (there is {near[0]!r})" if near else ""
            raise UserError(f"{self._file}: no scene: {name!r} is missing{hint}; it is {kind}")
        value = self._values[name]
        if not isinstance(value, types) or isinstance(value, bool):
            raise self._wrong(name, value, kind)
        return value

    def rate(self, name: str) -> Fraction:
        """A frame rate."""
        kind = 'a frame rate such as 12 or "30000/1001"'
        value = self.get(name, kind, str, int, float)
        try:
            return frame_rate(str(value))
        except argparse.ArgumentTypeError as error:
            raise self._wrong(name, value, kind) from error

    def number(self, name: str, value: Any) -> float:
        """A number of a field."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(name, value, "of numbers")
        return float(value)

    def mood(self, name: str) -> Mood | None:
        """Valence and energy in 0..1, or none."""
        kind = 'null, or {"valence": V, "energy": E} with numbers from 0 to 1'
        value = self.get(name, kind, dict, type(None))
        if value is None:
            return None
        if set(value) != {"valence", "energy"}:
            raise self._wrong(name, value, kind)
        mood = Mood(**{key: self.number(name, number) for key, number in value.items()})
        if not 0 <= min(mood.valence, mood.energy) <= max(mood.valence, mood.energy) <= 1:
            raise self._wrong(name, value, kind)
        return mood

    def plan(self, name: str, prompt: str, config: TheatreConfig) -> ClipPlan:
        """The plan of a clip of the theatre, or else of the prompt."""
        if name not in self._values:
            try:
                return plan_of_prompt(prompt, config)
            except UserError as error:
                raise UserError(f"{self._file}: no {name!r}, and {error}") from error
        kind = '{"seed": N, "index": N} with whole numbers'
        value = self.get(name, kind, dict)
        seed, index = value.get("seed"), value.get("index")
        for number in (seed, index):
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise self._wrong(name, value, kind)
        return plan_clip(seed, index, config)

    def _wrong(self, name: str, value: Any, kind: str) -> UserError:
        return UserError(f"{self._file}: no scene: {name!r} is {kind}, not {str(value)[:80]!r}")


def _struck(file: Path, plan: ClipPlan, onsets: tuple[float, ...]) -> Prop | None:
    """The plan's prop, struck at other times. A strike in the first frame could not be seen: nothing gets brighter."""
    if plan.prop is None:
        if onsets:
            raise UserError(f"{file}: onsets, but there is no prop in this plan; leave them out")
        return None
    first, end = 1 / plan.config.fps, plan.config.num_frames / plan.config.fps
    for onset in onsets:
        if not first <= onset < end:
            raise UserError(
                f"{file}: onset {onset:g} s: must be from {float(first):.3f} to {float(end):.3f} s"
            )
    return replace(plan.prop, onsets=onsets)
