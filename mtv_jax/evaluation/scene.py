"""A scene of the theatre as files, with sounds of any kind, and how well a video keeps in step with it.

A scene is a folder with the sound files `speech.flac`, `effects.flac`, `music.flac` (silent where there is none) and
`scene.json`, an object of

    prompt       what a pipeline is told, a text
    num_frames   of the video, a whole number
    fps          frames a second: a number, or a text such as "12" or "30000/1001"
    onsets       seconds at which the prop is struck, a list of numbers from the second frame on; [] if never
    mood         of the music: {"valence": 0 to 1, from sad to glad, "energy": 0 to 1, from calm to wild}; null: nobody
                 knows
    theatre      {"seed", "index"}: the clip of the theatre whose heads, prop and decor it has; left out, the prompt
                 says them, and has to be of the theatre's form (`mtv_jax.text.theatre_language`)

Whose mouth follows the speech, and how far it opens, is told by the plan and by the track itself. `python -m
mtv_jax.curate scene` makes such a folder, of a clip of the theatre or of a prompt and sounds of your own.
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
from mtv_jax.evaluation.contact_sheet import onsets as heard_onsets
from mtv_jax.evaluation.statistics import f1_score, lagged_correlation
from mtv_jax.evaluation.syncsynth import SYNC_CLAIM, load_syncsynth
from mtv_jax.evaluation.theatre_readers import Readers, match_events, mood_of
from mtv_jax.evaluation.theatre_suite import LAGS, best_lag
from mtv_jax.io.audio import fit_length, read_audio, write_audio
from mtv_jax.io.cli import frame_rate
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, read_json_object, write_json
from mtv_jax.text.template import scene_prompt
from mtv_jax.text.theatre_language import plan_of_prompt
from mtv_jax.theatre import ClipPlan, Recordings, TheatreConfig, plan_clip, render_clip, render_frames
from mtv_jax.theatre.plan import Prop
from mtv_jax.theatre.sounds import Performance, loudness
from mtv_jax.theatre.stage import Mood
from mtv_jax.typing import TRACK_RATE, TRACKS

FILE = "scene.json"
_NAMES = ("prompt", "num_frames", "fps", "onsets", "mood", "theatre")
_LEAST_FRAMES = 8
"""In which lips can be said to follow: those that are left at the largest lag are still some."""


@dataclass(frozen=True)
class Scene:
    """What is to be seen and heard.

    Attributes:
      plan: who and what stands where, who speaks, when the prop is struck.
      prompt: in the paper's template.
      performance: the three tracks, and what they make the theatre show.
    """

    plan: ClipPlan
    prompt: str
    performance: Performance

    def seen_as(self, frames: np.ndarray, fps: float | Fraction) -> "Scene":
        """The scene at the length, rate and size of a video's frames [F H W 3]: cut, or going on in silence.

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
        heard = Performance(tracks, envelope, self.performance.mood)
        return Scene(replace(self.plan, config=config, prop=prop), self.prompt, heard)


@dataclass(frozen=True)
class Reading:
    """A figure of one video.

    Attributes:
      claim, name: what it is about.
      value: as read from the video.
      theatre: as read from the theatre's own picture of the scene, the best that can be expected.
      note: more about the value.
    """

    claim: str
    name: str
    value: float
    theatre: float
    note: str = ""

    def __str__(self) -> str:
        note = f"; {self.note}" if self.note else ""
        return f"{self.claim}: {self.name}: {self.value:.2f} (the theatre's own picture: {self.theatre:.2f}){note}"


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
    told = {
        "prompt": scene_prompt(**vars(clip.words)),
        "theatre": {"seed": seed, "index": index},
        "num_frames": config.num_frames,
        "fps": str(config.fps),
        "onsets": [round(onset, 4) for onset in prop.onsets] if prop else [],
        "mood": clip.truth.to_json()["mood"],
    }
    _write(folder, told, clip.tracks)


def write_own_scene(
    folder: str | os.PathLike,
    prompt: str,
    sounds: Mapping[str, str | os.PathLike],
    fps: Fraction,
    num_frames: int | None = None,
    onsets: Sequence[float] | None = None,
) -> list[float]:
    """Writes a scene of a prompt of the theatre's form and sound files of one's own by track; the rest is silence.

    Args:
      num_frames: default as long as the longest sound.
      onsets: seconds of the strikes; default where they are heard in the effects, if the prompt has a prop.

    Returns:
      The onsets.

    Raises:
      UserError: another prompt, sounds that cannot be read, onsets outside of the video.
    """
    tracks = load_tracks(sounds)
    count = num_frames or max(1, round(len(tracks["speech"]) * fps / TRACK_RATE))
    config = TheatreConfig(num_frames=count, fps=fps)
    plan = plan_of_prompt(prompt, config)
    if onsets is None:
        heard = heard_onsets(tracks["effects"]) if plan.prop else []
        onsets = [onset for onset in heard if 1 / fps <= onset < count / fps]
    _struck(Path(folder) / FILE, plan, tuple(onsets))
    told = {"prompt": prompt, "num_frames": count, "fps": str(fps), "onsets": sorted(onsets), "mood": None}
    length = round(count * TRACK_RATE / fps)
    _write(folder, told, {name: fit_length(tracks[name], length) for name in TRACKS})
    return list(onsets)


def _write(folder: str | os.PathLike, told: dict[str, Any], tracks: Mapping[str, np.ndarray]) -> None:
    """Writes the files of a scene, beside others that may be in the folder; FILE last, as the sign that it is whole."""
    folder = Path(folder)
    for name in TRACKS:
        write_audio(folder / f"{name}.flac", tracks[name], TRACK_RATE)
    write_json(folder / FILE, told)


def read_scene(folder: str | os.PathLike) -> Scene:
    """Reads a scene. Raises UserError, naming the field, for what is missing or cannot be read."""
    folder = existing_directory(folder)
    told = _Fields(folder / FILE)
    prompt = told.get("prompt", "a text", str)
    count = told.get("num_frames", "a whole number", int)
    fps = told.rate("fps")
    numbers = told.get("onsets", "a list of seconds", list)
    onsets = tuple(sorted(told.number("onsets", onset) for onset in numbers))
    mood = told.mood("mood")
    config = TheatreConfig(num_frames=count, fps=fps)
    plan = told.plan("theatre", prompt, config)
    plan = replace(plan, prop=_struck(folder / FILE, plan, onsets))
    length = round(count * TRACK_RATE / fps)
    tracks = {name: fit_length(read_audio(folder / f"{name}.flac", TRACK_RATE), length) for name in TRACKS}
    envelope = loudness(tracks["speech"], count, fps)
    return Scene(plan, prompt, Performance(tracks, envelope, mood))


class _Fields:
    """The fields of a scene.json, each asked for by its kind; UserError for one that is missing or of another."""

    def __init__(self, file: Path):
        self._file, self._values = file, read_json_object(file)

    def get(self, name: str, kind: str, *types: type) -> Any:
        """A field that has to be there, and of these types."""
        if name not in self._values:
            near = difflib.get_close_matches(name, set(self._values) - set(_NAMES), n=1)
            told = f" (there is {near[0]!r})" if near else ""
            raise UserError(f"{self._file}: no scene: {name!r} is missing{told}; it is {kind}")
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
        """The plan of a clip of the theatre, or else what the prompt tells."""
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
    """The plan's prop, struck at other times. In its first frame a strike is not seen, since nothing rises."""
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


def scene_readings(scene: Scene, readers: Readers, frames: np.ndarray) -> list[Reading]:
    """Reads frames uint8 [F H W 3] beside the theatre's own picture of the same scene, by all claims it allows."""
    own = render_frames(scene.plan, scene.performance)
    return [reading for claim in (_lips, _events, _mood) for reading in claim(scene, readers, frames, own)]


def _lips(scene: Scene, readers: Readers, frames: np.ndarray, own: np.ndarray) -> list[Reading]:
    plan, envelope = scene.plan, scene.performance.envelope
    if plan.speaker is None or not envelope.any() or len(frames) < _LEAST_FRAMES:
        return []
    seen, ideal = readers.openings(frames, plan), readers.openings(own, plan)

    def by_lag(openings: np.ndarray) -> dict[int, float]:
        return {lag: lagged_correlation(openings[plan.speaker], envelope, lag) for lag in LAGS}

    found, best = by_lag(seen), max(by_lag(ideal).values())
    lag = max(LAGS, key=lambda lag: found[lag])
    claim, note = "speech moves the speaker's lips", f"lips {lag} frames late"
    late, ideally = (float(best_lag(openings[plan.speaker], envelope)) for openings in (seen, ideal))
    rows = [
        Reading(claim, "correlation with loudness", found[lag], best, note),
        Reading(claim, "lag at which they follow best, frames", late, ideally),
    ]
    for other in range(len(plan.actors)):
        if other != plan.speaker:
            value, theatre = (
                lagged_correlation(openings[other], envelope, lag) for openings in (seen, ideal)
            )
            rows.append(Reading("only the speaker's", "correlation of the other head", value, theatre))
    return rows + _in_time(scene, frames, own)


def _in_time(scene: Scene, frames: np.ndarray, own: np.ndarray) -> list[Reading]:
    """SyncSynth's confidence, without a p-value: the null would have to be of voices like the scene's."""
    plan, instrument = scene.plan, load_syncsynth()
    if plan.speaker is None or not instrument.knows(len(frames), plan.config.fps):
        return []
    place, wave = plan.actors[plan.speaker].place, scene.performance.tracks["speech"]

    def confidence(video: np.ndarray) -> float:
        return instrument.confidence(video, place, wave, plan.config.fps)[0]

    note = f"without movement {confidence(np.repeat(frames[:1], len(frames), axis=0)):.2f}"
    return [Reading(SYNC_CLAIM, "confidence, of 1", confidence(frames), confidence(own), note)]


def _events(scene: Scene, readers: Readers, frames: np.ndarray, own: np.ndarray) -> list[Reading]:
    true = scene.plan.event_frames
    if not true:
        return []

    def f1(found: tuple[int, ...]) -> float:
        return f1_score(match_events(found, true), len(found), len(true))

    seen, ideal = (readers.event_frames(video, scene.plan) for video in (frames, own))
    note = f"in frames {_list(seen)}, struck in {_list(true)}"
    return [Reading("effects trigger events", "F1 within a frame", f1(seen), f1(ideal), note)]


def _mood(scene: Scene, readers: Readers, frames: np.ndarray, own: np.ndarray) -> list[Reading]:
    mood = scene.performance.mood
    if mood is None:
        return []
    claim, names = "music sets the mood", ("valence, by hue", "energy, by brightness")
    wanted = (mood.valence, mood.energy)
    return [
        Reading(claim, name, seen, ideal, f"the music's is {told:.2f}")
        for name, told, seen, ideal in zip(names, wanted, mood_of(frames), mood_of(own), strict=True)
    ]


def _list(frames: tuple[int, ...]) -> str:
    return ", ".join(map(str, frames)) or "none"
