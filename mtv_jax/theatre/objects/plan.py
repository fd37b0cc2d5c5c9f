"""What is in a clip of sounding objects, drawn from (seed, index). Nothing is rendered here."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.theatre.objects.kinds import BACKGROUNDS, KINDS

VERSION = 1
"""Increases when clips of the same plan change in looks or sound."""

SEGMENT = 2
"""Seconds for which a thing keeps its loudness: a clip of ImageBind."""

_LEVELS = (0.45, 1.0)
"""Range of the activity of what sounds."""
_GAP = 1.0


@dataclass(frozen=True)
class ObjectsConfig:
    """Size of the clips and what they hold.

    Attributes:
      height, width: pixels, multiples of 16.
      num_frames, fps: the length; a single frame is a picture.
      things: chances of no, one, two and three things; without any there is a background.
      background: chance that a background sounds too.
      silent: chance that a source is silent in a segment.
      heard: whether one source at least is heard in each clip.
      steady: chance that all levels stay as they are over the clip.
      changes_at: seconds of each segment after which levels change; 0: between segments.
      state_words: chance that the prompt says how loud each thing is.
      unnamed: chance that the prompt leaves a source out, as captions do; one of them is always named.
    """

    height: int = 64
    width: int = 96
    num_frames: int = 16
    fps: Fraction = Fraction(2)
    things: tuple[float, float, float, float] = (0.06, 0.34, 0.34, 0.26)
    background: float = 0.25
    silent: float = 0.2
    heard: bool = True
    steady: float = 0.5
    changes_at: float = 0.0
    state_words: float = 0.6
    unnamed: float = 0.0

    def __post_init__(self):
        if self.num_frames < 1:
            raise UserError(f"num_frames {self.num_frames}: must be at least 1")
        for name in ("height", "width"):
            if getattr(self, name) < 16 or getattr(self, name) % 16:
                raise UserError(f"{name} {getattr(self, name)}: must be a multiple of 16")
        if self.width * 2 < self.height * 3:
            raise UserError(f"width {self.width}: must be at least 1.5 times the height {self.height}")
        if self.fps <= 0:
            raise UserError(f"fps {self.fps}: must be positive")
        if not 0 <= self.changes_at < SEGMENT:
            raise UserError(f"changes_at {self.changes_at}: must be at least 0 and less than {SEGMENT} s")
        chances = (*self.things, self.background, self.silent, self.steady, self.state_words, self.unnamed)
        if len(self.things) != 4 or not all(0 <= p <= 1 for p in chances) or abs(sum(self.things) - 1) > 1e-6:
            raise UserError(
                f"chances {chances}: each must be in 0..1, and those of 0 to 3 things add up to 1"
            )

    @property
    def seconds(self) -> float:
        """Length of a clip."""
        return float(self.num_frames / self.fps)

    @property
    def levels(self) -> int:
        """Number of levels that a source has one after another."""
        return int(self.level_at(np.array([self.seconds]) - 1e-6)[0]) + 1

    def level_at(self, seconds: np.ndarray) -> np.ndarray:
        """Which level a source has at some times: each lasts `SEGMENT` seconds, the first up to `changes_at`."""
        return ((seconds + -self.changes_at % SEGMENT) // SEGMENT).astype(int)

    @classmethod
    def pictures(cls) -> "ObjectsConfig":
        """Single frames."""
        return cls(num_frames=1)

    @classmethod
    def single_sources(cls) -> "ObjectsConfig":
        """One source that keeps its level and whose label says it: what the Condition Injection Module learns from.

        Some are silent, since sources of mixes are at times.
        """
        one = (0.25, 0.75, 0.0, 0.0)
        return cls(things=one, background=0.0, silent=0.1, heard=False, steady=1.0, state_words=1.0)

    def to_json(self) -> dict[str, Any]:
        """All fields, as JSON has them."""
        return dataclasses.asdict(self) | {"fps": [self.fps.numerator, self.fps.denominator]}


@dataclass(frozen=True)
class Thing:
    """A thing: kind, middle and half size in stage units (`paint`), and its levels of activity in turn, 0 to 1."""

    kind: str
    x: float
    y: float
    half_width: float
    half_height: float
    activity: tuple[float, ...]


@dataclass(frozen=True)
class ObjectsPlan:
    """Everything that (seed, index) decides about a clip.

    Attributes:
      things: what stands on the stage.
      background: one of `BACKGROUNDS`; None: there is none.
      background_activity: its levels in turn.
      grey: shade of the wall.
      stated: whether the prompt says how loud things are.
      named: what the prompt names.
    """

    seed: int
    index: int
    config: ObjectsConfig
    things: tuple[Thing, ...]
    background: str | None
    background_activity: tuple[float, ...]
    grey: float
    stated: bool
    named: tuple[str, ...]

    def rng(self, purpose: str) -> np.random.Generator:
        """A separate stream for each purpose."""
        return _rng(self.seed, self.index, purpose)

    @property
    def activities(self) -> dict[str, tuple[float, ...]]:
        """Levels of activity of each source in turn, by name: the things in order, then the background."""
        found = {thing.kind: thing.activity for thing in self.things}
        return found | ({self.background: self.background_activity} if self.background else {})

    @property
    def identity(self) -> str:
        """SHA-256 of what the clip is made from."""
        text = json.dumps([VERSION, self.seed, self.index, self.config.to_json()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def per_frame(self, activity: tuple[float, ...]) -> np.ndarray:
        """Activity of each frame, [F], of the levels one after another."""
        seconds = np.arange(self.config.num_frames) / float(self.config.fps)
        return np.asarray(activity)[self.config.level_at(seconds)]


def plan_objects(seed: int, index: int, config: ObjectsConfig | None = None) -> ObjectsPlan:
    """The plan of clip `index` of the world `seed`. Raises UserError for negative numbers."""
    config = config or ObjectsConfig()
    if seed < 0 or index < 0:
        raise UserError(f"seed {seed}, index {index}: must not be negative")
    rng = _rng(seed, index, "objects")
    count = min(int(np.searchsorted(np.cumsum(config.things), rng.random(), side="right")), 3)
    sounds_behind, steady, stated = rng.random(3) < (config.background, config.steady, config.state_words)
    kinds = [list(KINDS)[i] for i in rng.permutation(len(KINDS))[:count]]
    background = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))] if sounds_behind or not count else None
    levels = _levels(rng, count + (background is not None), config, bool(steady))
    places = _places(rng, count)
    return ObjectsPlan(
        seed=seed,
        index=index,
        config=config,
        things=tuple(
            Thing(kind, *place, level)
            for kind, place, level in zip(kinds, places, levels[:count], strict=True)
        ),
        background=background,
        background_activity=levels[count] if background else (),
        grey=float(rng.uniform(0.4, 0.62)),
        stated=bool(stated),
        named=_named(_rng(seed, index, "named"), (*kinds, *([background] if background else [])), config),
    )


def _named(rng: np.random.Generator, sources: tuple[str, ...], config: ObjectsConfig) -> tuple[str, ...]:
    """The sources that the prompt names."""
    always = int(rng.integers(len(sources)))
    kept = rng.random(len(sources)) >= config.unnamed
    return tuple(name for i, name in enumerate(sources) if kept[i] or i == always)


def _levels(
    rng: np.random.Generator, sources: int, config: ObjectsConfig, steady: bool
) -> list[tuple[float, ...]]:
    """Levels of each source, one after another."""
    shape = (sources, config.levels)
    levels = rng.uniform(*_LEVELS, shape) * (rng.random(shape) >= config.silent)
    if steady:
        levels[:] = levels[:, :1]
    if config.heard and not levels.any():
        levels[int(rng.integers(sources))] = rng.uniform(*_LEVELS)
    return [tuple(round(float(level), 4) for level in row) for row in levels]


def _places(rng: np.random.Generator, count: int) -> list[tuple[float, float, float, float]]:
    """Middles and half sizes of things side by side that do not overlap, in stage units, in random order."""
    if not count:
        return []
    halves = rng.uniform(11.0, (17.0, 15.5, 14.0)[count - 1], (count, 2))
    room = 96.0 - 2 * halves[:, 0].sum() - _GAP * (count + 1)
    cuts = np.diff(np.sort(rng.uniform(0, room, count)), prepend=0.0)
    places, left = [], -16.0
    for (half_width, half_height), space in zip(halves, cuts, strict=True):
        left += _GAP + space
        y = rng.uniform(half_height + 2.0, 61.0 - half_height)
        places.append((float(left + half_width), float(y), float(half_width), float(half_height)))
        left += 2 * half_width
    return [places[i] for i in rng.permutation(count)]


def _rng(seed: int, index: int, purpose: str) -> np.random.Generator:
    word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:4], "big")
    return np.random.default_rng(np.random.SeedSequence([seed, index, word]))
