"""What happens in a clip, drawn from (seed, index): actors, prop, events and mood. Nothing is rendered here."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.names import control_tracks, speech_track
from mtv_jax.theatre.stage import DECORS, Mood

VERSION = 1
"""Increases when clips of the same plan change in looks or sound."""

EVALUATION_SEEDS = 2**32
"""Seeds from here on are for evaluation; commands that make training data reject them."""

SKINS = {"pale": (250, 218, 190), "tan": (219, 168, 118), "brown": (160, 106, 70), "dark": (112, 72, 50)}
HAIRS = {
    "black": (34, 30, 36),
    "brown": (110, 66, 34),
    "blond": (240, 206, 96),
    "red": (200, 74, 26),
    "white": (238, 238, 242),
}
SHIRTS = {
    "red": (206, 42, 46),
    "blue": (44, 84, 208),
    "green": (40, 150, 70),
    "yellow": (240, 204, 40),
    "purple": (136, 60, 170),
    "white": (242, 242, 242),
}
STYLES = ("short", "long")
PROPS = ("drum", "bell", "door", "ball")
TIMBRES = ("organ", "plucked", "strings")

MOST_ACTORS = 4
"""Heads that fit on the stage."""

_MIN_GAP = 5  # frames between two events, so that each is seen to begin and to end


_ACTORS: tuple[float, ...] = (0.15, 0.5, 0.35)
_CROWDS = {3: (0.1, 0.25, 0.3, 0.35), 4: (0.1, 0.2, 0.2, 0.25, 0.25)}


def actors_of(num_speakers: int) -> tuple[float, ...]:
    """Chances of no, one, two, ... actors in clips for a model of so many speakers; those of one and two are equal."""
    return _CROWDS.get(num_speakers, _ACTORS)


@dataclass(frozen=True)
class TheatreConfig:
    """Size of the clips and what they hold.

    Attributes:
      height, width: pixels, multiples of 16.
      num_frames: at least 1.
      fps: frames a second.
      actors: chances of no, one, two, ... actors, up to four.
      speech: chance that any of them speaks.
      prop: chance of a prop beside actors; without actors there always is one.
      effects: chance that the prop sounds, and so moves.
      music: chance of music.
      num_speakers: how many may speak in a clip. With one, whoever speaks has the track `speech`. With more, each
        actor has a track by number, `speech`, `speech2`, ..., and so the actors are at most as many.
    """

    height: int = 64
    width: int = 64
    num_frames: int = 25
    fps: Fraction = Fraction(12)
    actors: tuple[float, ...] = _ACTORS
    speech: float = 0.85
    prop: float = 0.5
    effects: float = 0.85
    music: float = 0.6
    num_speakers: int = 1

    def __post_init__(self):
        if self.num_frames < 1:
            raise UserError(f"num_frames {self.num_frames}: must be at least 1")
        for name in ("height", "width"):
            if getattr(self, name) < 16 or getattr(self, name) % 16:
                raise UserError(f"{name} {getattr(self, name)}: must be a multiple of 16")
        if self.fps <= 0:
            raise UserError(f"fps {self.fps}: must be positive")
        chances = (*self.actors, self.speech, self.prop, self.effects, self.music)
        if not all(0 <= p <= 1 for p in chances) or abs(sum(self.actors) - 1) > 1e-6:
            raise UserError(
                f"chances {chances}: each must be in 0..1, and those of 0, 1, 2, ... actors add up to 1"
            )
        if len(self.actors) > 1 + MOST_ACTORS:
            raise UserError(
                f"actors {self.actors}: chances of up to {MOST_ACTORS} actors, who fit on the stage"
            )
        if not 1 <= self.num_speakers <= MOST_ACTORS:
            raise UserError(f"num_speakers {self.num_speakers}: must be from 1 to {MOST_ACTORS}")
        if 1 < self.num_speakers < len(self.actors) - 1:
            most = len(self.actors) - 1
            raise UserError(f"num_speakers {self.num_speakers}: must be 1, or as many as the actors: {most}")

    @property
    def seconds(self) -> float:
        """Length of a clip."""
        return float(self.num_frames / self.fps)

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the tracks of sound (`names.control_tracks`)."""
        return control_tracks(self.num_speakers)

    def to_json(self) -> dict[str, Any]:
        """All fields, as JSON has them; `num_speakers` only if there may be several."""
        values = dataclasses.asdict(self) | {"fps": [self.fps.numerator, self.fps.denominator]}
        if self.num_speakers == 1:  # clips keep the identity from before there was this field
            del values["num_speakers"]
        return values


@dataclass(frozen=True)
class Look:
    """Names of colours in SKINS, HAIRS and SHIRTS, and a hair style of STYLES."""

    skin: str
    hair: str
    style: str
    shirt: str

    @property
    def words(self) -> str:
        """In the words of the prompt."""
        return f"{self.skin} skin, {self.style} {self.hair} hair, {self.shirt} shirt"


@dataclass(frozen=True)
class Place:
    """Middle and half size of an actor's head or of a prop, in stage units (`paint`)."""

    x: float
    y: float
    half_width: float
    half_height: float


@dataclass(frozen=True)
class Actor:
    """A head: its look and where it rests."""

    look: Look
    place: Place


@dataclass(frozen=True)
class Prop:
    """One of PROPS, where it is, in words too, and when it is struck (seconds, rising)."""

    name: str
    place: Place
    side: str
    onsets: tuple[float, ...]


@dataclass(frozen=True)
class ClipPlan:
    """Everything that (seed, index) decides about a clip.

    Attributes:
      speakers: indices into `actors` of those who speak, rising; empty: nobody does.
      mood: what the music is made from; None: no music.
    """

    seed: int
    index: int
    config: TheatreConfig
    actors: tuple[Actor, ...]
    speakers: tuple[int, ...]
    prop: Prop | None
    mood: Mood | None
    timbre: str
    decor: str

    def rng(self, purpose: str) -> np.random.Generator:
        """A separate stream for each purpose, so that a change in one does not affect the others."""
        return _rng(self.seed, self.index, purpose)

    @property
    def identity(self) -> str:
        """SHA-256 of what the clip is made from."""
        text = json.dumps([VERSION, self.seed, self.index, self.config.to_json()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def speaker(self) -> int | None:
        """The first of `speakers`; None: nobody speaks."""
        return self.speakers[0] if self.speakers else None

    @property
    def voices(self) -> dict[str, int]:
        """Whose voice is on each track of speech that is not silent: an index into `actors`, by name of the track."""
        if self.config.num_speakers == 1:
            return {speech_track(1): actor for actor in self.speakers}
        return {speech_track(actor + 1): actor for actor in self.speakers}

    @property
    def event_frames(self) -> tuple[int, ...]:
        """Frames in which the prop is struck."""
        onsets = self.prop.onsets if self.prop else ()
        return tuple(int(onset * self.config.fps) for onset in onsets)


def plan_clip(seed: int, index: int, config: TheatreConfig | None = None) -> ClipPlan:
    """The plan of clip `index` of the theatre `seed`. Raises UserError for negative numbers."""
    config = config or TheatreConfig()
    if seed < 0 or index < 0:
        raise UserError(f"seed {seed}, index {index}: must not be negative")
    rng = _rng(seed, index, "plan")
    count = int(np.searchsorted(np.cumsum(config.actors), rng.random(), side="right"))
    count = min(count, len(config.actors) - 1)
    speaks, has_prop, sounds, plays = rng.random(4) < (
        config.speech,
        config.prop,
        config.effects,
        config.music,
    )
    prop = _prop(rng, count, bool(sounds), config) if has_prop or not count else None
    looks = _looks(rng, count)
    places = head_places(count, prop)
    valence, energy = rng.random(2)
    return ClipPlan(
        seed=seed,
        index=index,
        config=config,
        actors=tuple(Actor(look, place) for look, place in zip(looks, places, strict=True)),
        speakers=_speakers(rng, seed, index, count, config) if count and speaks else (),
        prop=prop,
        mood=Mood(float(valence), float(energy)) if plays else None,
        timbre=_pick(rng, TIMBRES),
        decor=_pick(rng, DECORS),
    )


def _speakers(
    rng: np.random.Generator, seed: int, index: int, count: int, config: TheatreConfig
) -> tuple[int, ...]:
    """One of `count` actors; where several may speak, any number of them."""
    first = int(rng.integers(count))
    if config.num_speakers == 1:
        return (first,)
    order = _rng(seed, index, "speakers").permutation(count)
    others = [int(actor) for actor in order if actor != first]
    return tuple(sorted([first, *others[: int(_rng(seed, index, "number of speakers").integers(count))]]))


def prop_places(actors: int) -> dict[str, Place]:
    """Where a prop can stand beside so many actors, by the word for it."""
    if actors == 4:
        return {"middle": Place(32.0, 56.0, 7.0, 7.0)}
    if actors == 3:
        return {"left": Place(21.7, 55.5, 7.5, 7.5), "right": Place(42.3, 55.5, 7.5, 7.5)}
    if actors == 2:
        return {"middle": Place(32.0, 54.0, 8.5, 8.5)}
    if actors == 1:
        return {"left": Place(12.0, 49.0, 10.5, 12.0), "right": Place(52.0, 49.0, 10.5, 12.0)}
    return {"middle": Place(32.0, 40.0, 18.0, 18.0)}


def _looks(rng: np.random.Generator, count: int) -> list[Look]:
    """Looks that differ in shirt and hair, so that the text distinguishes two people."""
    shirts, hairs = rng.permutation(list(SHIRTS)), rng.permutation(list(HAIRS))
    return [Look(_pick(rng, SKINS), str(hairs[i]), _pick(rng, STYLES), str(shirts[i])) for i in range(count)]


def head_places(count: int, prop: Prop | None) -> list[Place]:
    """Where heads are, as large as fit, from left to right.

    At 64 pixels mouths are 22 wide for one, 20 beside a prop, 17 for two, 11 for three, 8 for four.
    """
    if count > 2:
        half_width, half_height = (9.6, 13.5) if count == 3 else (7.2, 11.0)
        step = 62.0 / count
        return [Place(1 + step * (i + 0.5), 29.5, half_width, half_height) for i in range(count)]
    if count == 2:
        return [Place(x, 29.5, 14.5, 18.5) for x in (16.5, 47.5)]
    if count and prop:
        return [Place(21.0 if prop.side == "right" else 43.0, 30.5, 18.0, 22.5)]
    return [Place(32.0, 31.0, 20.0, 23.0)] * count


def _prop(rng: np.random.Generator, actors: int, sounds: bool, config: TheatreConfig) -> Prop:
    name = _pick(rng, PROPS)
    side = _pick(rng, ("left", "right"))
    onsets = _onsets(rng, config) if sounds else ()
    places = prop_places(actors)
    side = side if side in places else "middle"
    return Prop(name, places[side], side, onsets)


def _onsets(rng: np.random.Generator, config: TheatreConfig) -> tuple[float, ...]:
    """Seconds of one to three strikes, early enough in their frames that the sound is mostly within them."""
    last = config.num_frames - 2
    most = max(1, min(3, 1 + (last - 1) // _MIN_GAP))
    count = int(rng.integers(1, most + 1))
    room = last - 1 - (count - 1) * _MIN_GAP
    starts = np.sort(rng.integers(0, max(room, 0) + 1, count))
    frames = np.minimum(1 + starts + _MIN_GAP * np.arange(count), config.num_frames - 1)
    within = 0.05 + 0.35 * rng.random(count)
    return tuple(float((frame + u) / config.fps) for frame, u in zip(frames, within, strict=True))


def _pick(rng: np.random.Generator, names: Any) -> str:
    return list(names)[int(rng.integers(len(names)))]


def _rng(seed: int, index: int, purpose: str) -> np.random.Generator:
    word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:4], "big")
    return np.random.default_rng(np.random.SeedSequence([seed, index, word]))
