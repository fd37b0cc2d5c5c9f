"""A scene of the theatre as files, with sounds of any kind, and how well a video keeps in step with it.

A scene is a folder with `speech.flac`, `effects.flac`, `music.flac` and `scene.json`:

    {"prompt": what a pipeline is told, "theatre": {"seed", "index"}: the plan, "num_frames", "fps",
     "onsets": seconds at which the prop is struck, "mood": {"valence", "energy"} of the music, or null}

Whose mouth follows the speech, and how far it opens, is told by the plan and by the track itself.
"""

import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from mtv_jax.data.theatre import ClipPlan, Recordings, TheatreConfig, plan_clip, render_clip, render_frames
from mtv_jax.data.theatre.plan import Prop
from mtv_jax.data.theatre.sounds import SAMPLE_RATE, Performance, loudness
from mtv_jax.data.theatre.stage import Mood
from mtv_jax.evaluation.statistics import f1_score, lagged_correlation
from mtv_jax.evaluation.syncsynth import SYNC_CLAIM, load_syncsynth
from mtv_jax.evaluation.theatre_readers import Readers, match_events, mood_of
from mtv_jax.evaluation.theatre_suite import LAGS, best_lag
from mtv_jax.io.audio import fit_length, read_audio, write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json_object, write_json
from mtv_jax.text.template import scene_prompt
from mtv_jax.typing import TRACKS

FILE = "scene.json"


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

    def check(self, frames: np.ndarray, fps: float | Fraction) -> None:
        """Raises UserError unless frames [F H W 3] at `fps` are as many and as fast as the scene's."""
        config = self.plan.config
        if len(frames) != config.num_frames or abs(float(fps) - float(config.fps)) > 1e-3:
            raise UserError(
                f"the video has {len(frames)} frames at {float(fps):g} fps, the scene {config.num_frames} at "
                f"{float(config.fps):g}"
            )


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
    folder: str | os.PathLike, seed: int, index: int, recordings: Recordings | None = None
) -> None:
    """Writes clip `index` of the theatre `seed` as a scene, with real sounds where `recordings` have some."""
    clip = render_clip(seed, index, recordings=recordings)
    folder, prop, config = Path(folder), clip.plan.prop, clip.plan.config
    for name in TRACKS:
        write_audio(folder / f"{name}.flac", clip.tracks[name], SAMPLE_RATE)
    write_json(
        folder / FILE,
        {
            "prompt": scene_prompt(**vars(clip.words)),
            "theatre": {"seed": seed, "index": index},
            "num_frames": config.num_frames,
            "fps": str(config.fps),
            "onsets": [round(onset, 4) for onset in prop.onsets] if prop else [],
            "mood": clip.truth.to_json()["mood"],
        },
    )


def read_scene(folder: str | os.PathLike) -> Scene:
    """Reads a scene. Raises UserError for what is missing or cannot be read."""
    folder = Path(folder)
    told = read_json_object(folder / FILE)
    try:
        config = TheatreConfig(num_frames=told["num_frames"], fps=Fraction(told["fps"]))
        plan = plan_clip(told["theatre"]["seed"], told["theatre"]["index"], config)
        onsets = tuple(sorted(map(float, told["onsets"])))
        mood = Mood(**told["mood"]) if told["mood"] else None
        prompt = str(told["prompt"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(f"{folder / FILE}: no scene ({type(error).__name__}: {error})") from error
    plan = replace(plan, prop=_struck(folder / FILE, plan, onsets))
    length = round(config.num_frames * SAMPLE_RATE / config.fps)
    tracks = {name: fit_length(read_audio(folder / f"{name}.flac", SAMPLE_RATE), length) for name in TRACKS}
    envelope = loudness(tracks["speech"], config.num_frames, config.fps)
    return Scene(plan, prompt, Performance(tracks, envelope, mood))


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
    if plan.speaker is None or not envelope.any():
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
