"""Renders a clip: frames, tracks, the words of its prompt, the subsets it belongs to, and its ground truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mtv_jax.io.levels import SILENT_DBFS, rms_dbfs
from mtv_jax.names import SUBSETS
from mtv_jax.theatre.actors import Motion, draw_actor, head_boxes, mouth_boxes, move
from mtv_jax.theatre.paint import Canvas
from mtv_jax.theatre.plan import ClipPlan, TheatreConfig, plan_clip
from mtv_jax.theatre.props import draw_prop
from mtv_jax.theatre.sounds import Performance, Recordings, perform
from mtv_jax.theatre.stage import draw_stage, light_of

COUNTS = ("No", "One", "Two", "Three", "Four")
"""Words for numbers of actors."""


@dataclass(frozen=True)
class Words:
    """The arguments of the paper's prompt template (`mtv_jax.text.template.scene_prompt`).

    Attributes:
      scene: what is seen besides those who take part in a conversation.
      persons: what each looks like; empty if nobody speaks.
      speaking: numbers, from 1, of those who speak.
    """

    scene: str
    persons: tuple[str, ...]
    speaking: tuple[int, ...]


@dataclass(frozen=True)
class Truth:
    """The ground truth of a clip, for evaluation only. Boxes are (x0, y0, x1, y1) in pixels.

    Attributes:
      openings: of each actor's mouth in each frame, [actors][F] in 0..1.
      speakers: indices of those who speak.
      envelope: loudness of the speech in each frame, [F] in 0..1: of the loudest voice, if there are several.
      event_frames: in which the prop is struck.
      mood: valence and energy in 0..1; None without music.
      head_boxes, mouth_boxes: [actors][F][4]; a mouth's box holds it wide open.
      prop_box: of the prop at rest; None without one.
    """

    seed: int
    index: int
    looks: tuple[dict[str, str], ...]
    speakers: tuple[int, ...]
    prop: str | None
    decor: str
    mood: dict[str, float] | None
    openings: np.ndarray
    envelope: np.ndarray
    event_frames: tuple[int, ...]
    head_boxes: np.ndarray
    mouth_boxes: np.ndarray
    prop_box: np.ndarray | None
    subsets: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, numbers rounded to four places."""
        return {name: _plain(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class TheatreClip:
    """A rendered clip: uint8 frames [F, H, W, 3], tracks (`Performance.tracks`), words and truth."""

    plan: ClipPlan
    frames: np.ndarray
    tracks: dict[str, np.ndarray]
    words: Words
    truth: Truth

    @property
    def subsets(self) -> tuple[str, ...]:
        """The SUBSETS that it belongs to; possibly none."""
        return self.truth.subsets


def render_clip(
    seed: int, index: int, config: TheatreConfig | None = None, recordings: Recordings | None = None
) -> TheatreClip:
    """Clip `index` of the theatre `seed`: the same bytes each time. `recordings` replace synthetic sounds."""
    plan = plan_clip(seed, index, config)
    performance = perform(plan, recordings)
    return TheatreClip(
        plan=plan,
        frames=render_frames(plan, performance),
        tracks=performance.tracks,
        words=describe(plan),
        truth=_truth(plan, performance),
    )


def render_tracks(plan: ClipPlan) -> dict[str, np.ndarray]:
    """The sound alone (`Performance.tracks`)."""
    return perform(plan).tracks


def render_frames(plan: ClipPlan, performance: Performance | None = None) -> np.ndarray:
    """The pictures alone, uint8 [F, H, W, 3], driven by `performance` (default: that of the plan)."""
    performance = performance or perform(plan)
    config, times = plan.config, _times(plan)
    canvas = Canvas(config.num_frames, config.height, config.width)
    light = light_of(performance.mood)
    draw_stage(canvas, performance.mood, plan.decor, times)
    openings = _openings(plan, performance)
    for number, actor in enumerate(plan.actors):
        draw_actor(canvas, actor, move(plan, number, times), openings[number], light)
    if plan.prop:
        draw_prop(canvas, plan.prop, plan.event_frames, light)
    return canvas.to_uint8()


def describe(plan: ClipPlan) -> Words:
    """The words for a clip. Persons who do not speak are part of the scene."""
    looks = tuple(actor.look.words for actor in plan.actors)
    scene = "A stage"
    if plan.prop:
        where = "in the middle" if plan.prop.side == "middle" else f"on the {plan.prop.side}"
        scene += f" with a {plan.prop.name} {where}"
    scene += f", {plan.decor} behind."
    if plan.speakers:
        return Words(scene, persons=looks, speaking=tuple(actor + 1 for actor in plan.speakers))
    if looks:
        noun = "person" if len(looks) == 1 else "persons"
        scene += f" {COUNTS[len(looks)]} silent {noun}: {'; '.join(looks)}."
    return Words(scene, persons=(), speaking=())


def subsets_of(plan: ClipPlan, tracks: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Subsets by DEMIX's rules: talking heads, count of humans, effects or music above -45 dBFS."""
    count = len(plan.actors)
    # A head without a prop beside it is drawn as large as fits: a close-up.
    rules = (
        count == 1 and plan.prop is None and audible(tracks["speech"]),
        count == 1,
        count >= 2,
        audible(tracks["effects"]),
        audible(tracks["music"]),
    )
    return tuple(name for name, holds in zip(SUBSETS, rules, strict=True) if holds)


def audible(wave: np.ndarray) -> bool:
    """Whether the RMS over the whole clip is above -45 dBFS."""
    return rms_dbfs(wave) > SILENT_DBFS


def _openings(plan: ClipPlan, performance: Performance) -> np.ndarray:
    """Of each mouth, [actors, F]: a speaker's follows its own track, the others stay shut."""
    openings = np.zeros((len(plan.actors), plan.config.num_frames))
    for track, actor in plan.voices.items():
        openings[actor] = performance.envelopes.get(track, 0.0)
    return openings


def _truth(plan: ClipPlan, performance: Performance) -> Truth:
    config, times = plan.config, _times(plan)
    # An empty canvas of one frame knows the way from units to pixels.
    canvas = Canvas(1, config.height, config.width)
    motions = [move(plan, number, times) for number in range(len(plan.actors))]
    mood, openings = performance.mood, _openings(plan, performance)
    return Truth(
        seed=plan.seed,
        index=plan.index,
        looks=tuple(vars(actor.look) for actor in plan.actors),
        speakers=plan.speakers,
        prop=plan.prop.name if plan.prop else None,
        decor=plan.decor,
        mood=None if mood is None else {"valence": mood.valence, "energy": mood.energy},
        openings=openings,
        envelope=openings.max(axis=0, initial=0.0),
        event_frames=plan.event_frames,
        head_boxes=canvas.to_pixels(_boxes(head_boxes, plan, motions)),
        mouth_boxes=canvas.to_pixels(_boxes(mouth_boxes, plan, motions)),
        prop_box=canvas.to_pixels(_prop_box(plan)) if plan.prop else None,
        subsets=subsets_of(plan, performance.tracks),
    )


def _boxes(of: Any, plan: ClipPlan, motions: list[Motion]) -> np.ndarray:
    """[actors, F, 4], also without actors."""
    boxes = [of(actor, motion) for actor, motion in zip(plan.actors, motions, strict=True)]
    return np.array(boxes).reshape(len(boxes), plan.config.num_frames, 4)


def _prop_box(plan: ClipPlan) -> np.ndarray:
    assert plan.prop is not None
    place = plan.prop.place
    return np.array(
        [
            place.x - place.half_width,
            place.y - place.half_height,
            place.x + place.half_width,
            place.y + place.half_height,
        ]
    )


def _times(plan: ClipPlan) -> np.ndarray:
    """Of the frames, seconds, [F]."""
    return np.arange(plan.config.num_frames) / float(plan.config.fps)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return np.round(value, 4).tolist()
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
