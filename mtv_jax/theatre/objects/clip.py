"""Renders a clip of sounding objects: frames, the sound of each source, words, boxes and activity."""

from dataclasses import dataclass

import numpy as np

from mtv_jax.names import TRACK_RATE
from mtv_jax.theatre.objects.kinds import draw_stage, draw_thing, size_of
from mtv_jax.theatre.objects.plan import SEGMENT, ObjectsPlan, Thing
from mtv_jax.theatre.objects.sounds import sound_of
from mtv_jax.theatre.paint import Canvas

LEVEL = 0.08
"""RMS of a source at its loudest."""
_LOUDNESS_POWER = 0.6
"""Activity is the RMS over `LEVEL` to this power: about how loud it seems (Stevens' law)."""
_SWAY = 1.5
"""Stage units by which a thing at its loudest moves from side to side."""


@dataclass(frozen=True)
class ObjectClip:
    """A rendered clip.

    Attributes:
      frames: uint8 [F H W 3].
      sources: sound of each source by its kind, things in order, then the background: float32 [s] at 16 kHz. A mix is
        their sum.
      prompt: what is seen.
      boxes: of each thing in each frame as large as it is then, (left, top, right, bottom) in shares of the frame, by
        kind: [F 4].
      places: of each thing at its loudest, [4].
      activity: of each source in each frame, [F] in 0..1, by kind.
    """

    plan: ObjectsPlan
    frames: np.ndarray
    sources: dict[str, np.ndarray]
    prompt: str
    boxes: dict[str, np.ndarray]
    places: dict[str, np.ndarray]
    activity: dict[str, np.ndarray]

    @property
    def mix(self) -> np.ndarray:
        """All sources at once, float32 [s]."""
        return np.stack(list(self.sources.values())).sum(axis=0)


def render_objects(plan: ObjectsPlan) -> ObjectClip:
    """The clip of a plan: the same bytes each time."""
    activity = {name: plan.per_frame(levels) for name, levels in plan.activities.items()}
    canvas = Canvas(plan.config.num_frames, plan.config.height, plan.config.width)
    return ObjectClip(
        plan=plan,
        frames=_frames(plan, canvas, activity),
        sources={name: _sound(plan, name, levels) for name, levels in plan.activities.items()},
        prompt=objects_prompt(plan),
        boxes={t.kind: _box(canvas, t, _x(plan, t), size_of(activity[t.kind])) for t in plan.things},
        places={t.kind: _box(canvas, t, np.array([t.x]), np.ones(1))[0] for t in plan.things},
        activity=activity,
    )


def objects_prompt(plan: ObjectsPlan) -> str:
    """The words for a clip: `a loud bell and a silent drum, rain`; without states, `a bell and a drum, rain`.

    A state is said only where it lasts for the whole clip, and what is not named is left out.
    """
    named = [
        f"a {_state(plan, thing.activity)}{thing.kind}" for thing in plan.things if thing.kind in plan.named
    ]
    words = " and ".join(named)
    if plan.background is None or plan.background not in plan.named:
        return words
    behind = f"{_state(plan, plan.background_activity)}{plan.background}"
    return f"{words}, {behind}" if words else behind


def state_word(activity: float) -> str:
    """silent, soft or loud."""
    return "silent" if activity == 0 else "soft" if activity < 0.72 else "loud"


def _state(plan: ObjectsPlan, activity: tuple[float, ...]) -> str:
    words = {state_word(level) for level in activity}
    return f"{words.pop()} " if plan.stated and len(words) == 1 else ""


def _frames(plan: ObjectsPlan, canvas: Canvas, activity: dict[str, np.ndarray]) -> np.ndarray:
    times = _times(plan)
    behind = activity.get(plan.background or "", np.zeros(len(times)))
    phase = plan.rng("background").uniform(0, 4)
    draw_stage(canvas, plan.grey, plan.background, behind, times + phase)
    for thing in plan.things:
        half = (thing.half_width, thing.half_height)
        draw_thing(canvas, thing.kind, (_x(plan, thing), thing.y), half, activity[thing.kind])
    return canvas.to_uint8()


def _x(plan: ObjectsPlan, thing: Thing) -> np.ndarray:
    """The middle of a thing in each frame, [F]: it sways as far as it is active, once in four seconds."""
    start = plan.rng(f"sway of {thing.kind}").uniform(0, 2 * np.pi)
    return thing.x + _SWAY * plan.per_frame(thing.activity) * np.sin(np.pi / 2 * _times(plan) + start)


def _times(plan: ObjectsPlan) -> np.ndarray:
    return np.arange(plan.config.num_frames) / float(plan.config.fps)


def _box(canvas: Canvas, thing: Thing, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    w, h = scale * thing.half_width, scale * thing.half_height
    pixels = canvas.to_pixels(np.stack([x - w, thing.y - h, x + w, thing.y + h], axis=-1))
    height, width = canvas.pixels.shape[1:3]
    return np.clip(pixels / np.array([width, height] * 2), 0, 1).astype(np.float32)


def _sound(plan: ObjectsPlan, kind: str, activity: tuple[float, ...]) -> np.ndarray:
    """A source, as loud as its levels of activity say, which change within 20 ms."""
    length = max(round(plan.config.seconds * TRACK_RATE), SEGMENT * TRACK_RATE)
    wave = sound_of(plan.rng(f"sound of {kind}"), kind, length, TRACK_RATE)
    level = np.minimum(plan.config.level_at(np.arange(length) / TRACK_RATE), len(activity) - 1)
    gain = LEVEL * np.asarray(activity)[level] ** (1 / _LOUDNESS_POWER)
    ramp = TRACK_RATE // 50
    gain = np.convolve(np.pad(gain, ramp // 2, mode="edge"), np.ones(ramp) / ramp, mode="same")
    return (wave * gain[ramp // 2 : ramp // 2 + length]).astype(np.float32)
