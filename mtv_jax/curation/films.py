"""Films with known cuts and known tracks, to test curation and to show it: theatre clips and real footage in a row.

A film is determined by its seed, its config and its footage. Shots follow each other by hard cuts, dissolves or fades
through black, and some have a flash, which is no cut. The sound of every shot is the theatre's, also under footage, so
its tracks are known.
"""

import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mtv_jax.data.transforms import resize_crop
from mtv_jax.io.audio import fit_length, write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json
from mtv_jax.io.video import probe, read_video, write_video
from mtv_jax.names import TRACK_RATE, TRACKS
from mtv_jax.theatre import Recordings, TheatreConfig, plan_clip, render_clip
from mtv_jax.theatre.sounds import perform
from mtv_jax.typing import UInt8

Transition = Literal["cut", "dissolve", "black"]
TRUTH = "truth.json"
_COMMENT = "Synthetic film with known cuts, made by mtv_jax.curation.films"
_FLASH_MARGIN = 8
"""Frames between a flash and the ends of its shot."""


@dataclass(frozen=True)
class FilmConfig:
    """What films are like.

    Attributes:
      height, width: multiples of 16.
      fps: frames per second.
      shots: number of shots.
      shot_seconds: least and greatest length of a shot, transitions included.
      transitions: chances of a cut, a dissolve and a fade through black between two shots.
      transition_frames: least and greatest length of a dissolve, and of each side of a fade.
      black_frames: least and greatest length of the black in a fade.
      flash: chance that a shot has a flash of one or two frames, white or black.
      footage: share of the shots that show footage, if there is any.
    """

    height: int = 128
    width: int = 192
    fps: Fraction = Fraction(24)
    shots: int = 8
    shot_seconds: tuple[float, float] = (1.5, 4.0)
    transitions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    transition_frames: tuple[int, int] = (6, 16)
    black_frames: tuple[int, int] = (4, 12)
    flash: float = 0.3
    footage: float = 0.5

    def __post_init__(self):
        if self.shots < 1:
            raise UserError(f"shots {self.shots}: must be at least 1")
        shortest = math.floor(self.shot_seconds[0] * self.fps)
        if shortest < 2 * self.transition_frames[1] + 2:
            raise UserError(
                f"shot_seconds {self.shot_seconds[0]:g}: too short for transitions of {self.transition_frames[1]} "
                "frames on both sides; make the shots longer"
            )


@dataclass(frozen=True)
class Footage:
    """A part of a video without cuts: from `start` to `end`, in seconds."""

    path: Path
    start: float
    end: float

    @classmethod
    def whole(cls, path: str | os.PathLike) -> "Footage":
        """All of a video."""
        return cls(Path(path), 0.0, float(probe(path).duration or 0))


@dataclass(frozen=True)
class Flash:
    """White or black frames within a shot: `length` ones from `frame`, counted from the shot's first."""

    frame: int
    length: int
    white: bool


@dataclass(frozen=True)
class PlannedShot:
    """A shot and what leads to the next one. `footage` is what it shows from `start` seconds on, or None."""

    number: int
    num_frames: int
    footage: Footage | None
    start: float
    flash: Flash | None
    transition: Transition
    transition_frames: int
    black_frames: int


@dataclass(frozen=True)
class Truth:
    """What is known of a film. Frames are numbered from 0, ranges exclude their end.

    Attributes:
      cuts: the first frame of each shot that follows a hard cut.
      fades: kind (`dissolve`, `black`) and range of each gradual transition.
      flashes: the range of each.
      shots: the range of each shot, its share of dissolves included, and what it shows.
    """

    seed: int
    fps: Fraction
    num_frames: int
    cuts: tuple[int, ...]
    fades: tuple[tuple[str, int, int], ...]
    flashes: tuple[tuple[int, int], ...]
    shots: tuple[tuple[int, int, str], ...]

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return dataclasses.asdict(self) | {"fps": [self.fps.numerator, self.fps.denominator]}


@dataclass(frozen=True)
class Film:
    """A film that is rendered as it is read."""

    seed: int
    config: FilmConfig
    plan: tuple[PlannedShot, ...]
    recordings: Recordings | None = None

    @property
    def truth(self) -> Truth:
        """The ground truth."""
        return _truth(self)

    def frames(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The pictures, in order. Two shots are in memory at most."""
        held = np.zeros((0, self.config.height, self.config.width, 3), np.uint8)
        for shot, before in self._with_before():
            frames = _lit(shot, _pictures(self, shot))
            if before is not None and before.transition == "black":
                _fade(frames, before.transition_frames)
            _blend(held, frames)
            if shot is self.plan[-1]:
                yield from frames
                return
            if shot.transition == "black":
                _fade(frames[::-1], shot.transition_frames)
            end = len(frames) - (shot.transition_frames if shot.transition == "dissolve" else 0)
            yield from frames[:end]
            held = frames[end:]
            if shot.transition == "black":
                yield from (np.zeros(frames.shape[1:], np.uint8) for _ in range(shot.black_frames))

    def tracks(self) -> dict[str, np.ndarray]:
        """Speech, effects and music, float32 [s] each at 16 kHz, which add up to the film's sound."""
        length = self._sample(self.truth.num_frames)
        tracks = {name: np.zeros(length, np.float32) for name in TRACKS}
        for (shot, before), (start, end, _) in zip(self._with_before(), self.truth.shots, strict=True):
            first, last = self._sample(start), self._sample(end)
            gain = self._gain(shot, before, last - first)
            waves = perform(plan_clip(self.seed, shot.number, _stage(self, shot)), self.recordings).tracks
            for name, track in tracks.items():
                track[first:last] += fit_length(waves[name], last - first) * gain
        return tracks

    def _with_before(self) -> Iterator[tuple[PlannedShot, PlannedShot | None]]:
        """Each shot with the one before it."""
        return zip(self.plan, (None, *self.plan[:-1]), strict=True)

    def _sample(self, frame: int) -> int:
        return round(frame / self.config.fps * TRACK_RATE)

    def _gain(self, shot: PlannedShot, before: PlannedShot | None, length: int) -> np.ndarray:
        """Of a shot's sound, [length]: it goes up and down with its pictures."""
        gain = np.ones(length, np.float32)
        after = None if shot is self.plan[-1] else shot
        for edge, ramp in ((before, gain), (after, gain[::-1])):
            if edge is not None and edge.transition != "cut":
                samples = self._sample(edge.transition_frames)
                ramp[:samples] = np.arange(samples) / samples
        return gain


def make_film(
    seed: int,
    config: FilmConfig | None = None,
    *,
    footage: Sequence[Footage] = (),
    recordings: Recordings | None = None,
) -> Film:
    """The film of a seed. `recordings` replace synthetic sounds of the theatre."""
    config = config or FilmConfig()
    rng = np.random.default_rng(seed)
    plan: list[PlannedShot] = []
    for number in range(config.shots):
        shown = (
            plan[-1].footage if plan else None
        )  # between two parts of one take there is hardly a cut to see
        plan.append(_plan_shot(rng, number, config, [part for part in footage if part != shown]))
    return Film(seed, config, tuple(plan), recordings)


def write_film(film: Film, video: str | os.PathLike, truth: str | os.PathLike) -> Truth:
    """Writes a film as mp4 with its sound, and its ground truth and tracks (FLAC) into the folder `truth`."""
    tracks = film.tracks()
    mix = sum(tracks.values(), np.zeros(1, np.float32))
    peak = max(float(np.abs(mix).max(initial=0)), 1.0)
    tracks = {name: wave / peak for name, wave in tracks.items()}
    known = film.truth
    write_video(
        video, film.frames(), film.config.fps, audio=mix / peak, sample_rate=TRACK_RATE, comment=_COMMENT
    )
    for name, wave in tracks.items():
        write_audio(Path(truth) / f"{name}.flac", wave, TRACK_RATE)
    write_json(Path(truth) / TRUTH, known.to_json())
    return known


def _truth(film: Film) -> Truth:
    cuts, fades, flashes, shots, start = [], [], [], [], 0
    for shot in film.plan:
        end = start + shot.num_frames
        shots.append((start, end, shot.footage.path.name if shot.footage else "theatre"))
        if shot.flash is not None:
            flashes.append((start + shot.flash.frame, start + shot.flash.frame + shot.flash.length))
        if shot is film.plan[-1]:
            break
        length, black = shot.transition_frames, shot.black_frames
        if shot.transition == "cut":
            cuts.append(end)
            start = end
        elif shot.transition == "dissolve":
            start = end - length
            fades.append(("dissolve", start, end))
        else:
            start = end + black
            fades.append(("black", end - length, start + length))
    return Truth(
        film.seed, film.config.fps, shots[-1][1], tuple(cuts), tuple(fades), tuple(flashes), tuple(shots)
    )


def _plan_shot(
    rng: np.random.Generator, number: int, config: FilmConfig, footage: Sequence[Footage]
) -> PlannedShot:
    least, most = (float(seconds * config.fps) for seconds in config.shot_seconds)
    num_frames = int(rng.uniform(least, most))
    seconds = float(num_frames / config.fps)
    part = None
    if footage and rng.random() < config.footage:
        part = footage[int(rng.integers(len(footage)))]
        if part.end - part.start < seconds:
            raise UserError(
                f"{part.path}: footage shorter than a shot of {seconds:.2f} s; give longer footage"
            )
    return PlannedShot(
        number=number,
        num_frames=num_frames,
        footage=part,
        start=float(rng.uniform(part.start, part.end - seconds)) if part else 0.0,
        flash=_plan_flash(rng, num_frames, config),
        transition=str(rng.choice(["cut", "dissolve", "black"], p=config.transitions)),  # type: ignore[arg-type]
        transition_frames=int(rng.integers(*config.transition_frames, endpoint=True)),
        black_frames=int(rng.integers(*config.black_frames, endpoint=True)),
    )


def _plan_flash(rng: np.random.Generator, num_frames: int, config: FilmConfig) -> Flash | None:
    edge = config.transition_frames[1] + _FLASH_MARGIN
    room = num_frames - 2 * edge
    if rng.random() >= config.flash or room < 1:
        return None
    return Flash(edge + int(rng.integers(room)), int(rng.integers(1, 3)), bool(rng.random() < 0.7))


def _stage(film: Film, shot: PlannedShot) -> TheatreConfig:
    config = film.config
    return TheatreConfig(config.height, config.width, shot.num_frames, config.fps)


def _pictures(film: Film, shot: PlannedShot) -> UInt8[np.ndarray, "F H W 3"]:
    """A shot's pictures, without transitions."""
    if shot.footage is None:
        return render_clip(film.seed, shot.number, _stage(film, shot), film.recordings).frames.copy()
    path, fps = shot.footage.path, film.config.fps
    frames, _ = read_video(path, fps=fps, start=shot.start, num_frames=shot.num_frames)
    return resize_crop(frames, film.config.height, film.config.width).copy()


def _blend(held: np.ndarray, frames: np.ndarray) -> None:
    """Dissolves from the last frames of a shot to the first of the next, in place."""
    share = (np.arange(len(held)) + 1)[:, None, None, None] / (len(held) + 1)
    frames[: len(held)] = np.round(held * (1 - share) + frames[: len(held)] * share)


def _fade(frames: np.ndarray, length: int) -> None:
    """Makes the first frames rise from black, in place."""
    frames[:length] = np.round(frames[:length] * np.linspace(0, 1, length + 2)[1:-1, None, None, None])


def _lit(shot: PlannedShot, frames: UInt8[np.ndarray, "F H W 3"]) -> UInt8[np.ndarray, "F H W 3"]:
    """Adds a shot's flash, in which its picture is faintly seen."""
    if shot.flash is not None:
        lit = frames[shot.flash.frame : shot.flash.frame + shot.flash.length]
        lit[:] = np.round(lit * 0.1 + (0.9 * 255 if shot.flash.white else 0))
    return frames
