"""Heads: a mouth that follows a voice, and eyes, brows and small movements that are independent of the sound."""

from dataclasses import dataclass

import numpy as np

from mtv_jax.theatre.paint import Canvas, Colour
from mtv_jax.theatre.plan import HAIRS, SHIRTS, SKINS, Actor, ClipPlan

MOUTH_WIDTH = 0.56
"""Half the mouth's width by half the head's."""
MOUTH_HEIGHT = 0.46
"""Height of the fully opened mouth by half the head's height."""
INSIDE: tuple[float, float, float] = (38.0, 6.0, 14.0)
"""Colour of the open mouth, before the light: darker than any skin, lip or hair near it."""

_LIPS = (196.0, 66.0, 74.0)
_WHITE = (250.0, 250.0, 250.0)
_INK = (28.0, 24.0, 30.0)
_LIP = 1.6  # stage units around the opening
_JAW = 0.75  # of an opening goes downwards: the lower jaw moves


@dataclass(frozen=True)
class Motion:
    """Movements of a head that do not depend on the sound, [F] each.

    Attributes:
      x, y: the head's middle, stage units.
      lids: 1 open, 0 closed.
      brows: how far they are raised, stage units.
      gaze: how far the pupils look to the right, stage units.
    """

    x: np.ndarray
    y: np.ndarray
    lids: np.ndarray
    brows: np.ndarray
    gaze: np.ndarray


def move(plan: ClipPlan, index: int, times: np.ndarray) -> Motion:
    """Movements of actor `index` at `times` [F] seconds, from a random stream that nothing else uses."""
    rng = plan.rng(f"motion {index}")
    place = plan.actors[index].place
    size = place.half_width / 20
    x, y, brows, gaze = (_wander(rng, times) for _ in range(4))
    return Motion(
        x=place.x + 1.2 * size * x,
        y=place.y + 0.7 * size * y,
        lids=_blinks(rng, len(times)),
        brows=1.2 * size * brows,
        gaze=0.8 * size * gaze,
    )


def draw_actor(canvas: Canvas, actor: Actor, motion: Motion, opening: np.ndarray, light: float) -> None:
    """Paints a head and shoulders; `opening` [F] of the mouth in 0..1, `light` as of `stage.light_of`."""
    tint = {
        name: np.multiply(colour, light)
        for name, colour in {
            "skin": SKINS[actor.look.skin],
            "hair": HAIRS[actor.look.hair],
            "shirt": SHIRTS[actor.look.shirt],
            "lips": _LIPS,
            "inside": INSIDE,
            "white": _WHITE,
        }.items()
    }
    _draw_behind(canvas, actor, motion, tint)
    _draw_head(canvas, actor, motion, tint)
    _draw_eyes(canvas, actor, motion, tint)
    _draw_mouth(canvas, actor, motion, opening, tint)


def head_boxes(actor: Actor, motion: Motion) -> np.ndarray:
    """Where the head is in each frame, without hair: [F, 4] as (x0, y0, x1, y1) in stage units."""
    w, h = actor.place.half_width, actor.place.half_height
    return np.stack([motion.x - w, motion.y - h, motion.x + w, motion.y + h], axis=1)


def mouth_boxes(actor: Actor, motion: Motion) -> np.ndarray:
    """What the mouth, lips included, can cover when wide open: [F, 4] as `head_boxes`."""
    w = MOUTH_WIDTH * actor.place.half_width + _LIP
    top, bottom = _lip_lines(actor, motion, np.ones_like(motion.x))
    return np.stack([motion.x - w, top - _LIP, motion.x + w, bottom + _LIP], axis=1)


def _lip_lines(actor: Actor, motion: Motion, opening: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y of the upper and lower edge of the opening, [F] each."""
    height = MOUTH_HEIGHT * actor.place.half_height * opening
    rest = motion.y + 0.42 * actor.place.half_height
    return rest - (1 - _JAW) * height, rest + _JAW * height


def _draw_behind(canvas: Canvas, actor: Actor, motion: Motion, tint: dict[str, Colour]) -> None:
    """Long hair, neck and shirt."""
    w, h = actor.place.half_width, actor.place.half_height
    if actor.look.style == "long":
        canvas.box((motion.x, motion.y + 0.12 * h), (1.1 * w, 0.95 * h), tint["hair"], corner=0.5 * w)
    canvas.box((motion.x, motion.y + h), (0.42 * w, 0.3 * h), np.multiply(tint["skin"], 0.86))
    chin = actor.place.y + h
    # The shoulders are an ellipse that extends below the frame.
    canvas.ellipse((actor.place.x, 72.0), (1.12 * w, 72.0 - chin + 1.0), tint["shirt"])


def _draw_head(canvas: Canvas, actor: Actor, motion: Motion, tint: dict[str, Colour]) -> None:
    w, h = actor.place.half_width, actor.place.half_height
    shade = np.multiply(tint["skin"], 0.86)
    cap = (w + 1.6, h + 1.4)
    canvas.ellipse((motion.x, motion.y - 0.5), cap, tint["hair"], above=motion.y - 0.05 * h)
    for side in (-1, 1):
        canvas.ellipse((motion.x + side * w, motion.y + 0.08 * h), (0.13 * w, 0.17 * h), shade)
    canvas.ellipse((motion.x, motion.y), (w, h), tint["skin"])
    canvas.ellipse((motion.x, motion.y - 0.5), cap, tint["hair"], above=motion.y - 0.48 * h)
    canvas.ellipse((motion.x, motion.y + 0.2 * h), (0.13 * w, 0.1 * h), shade)


def _draw_eyes(canvas: Canvas, actor: Actor, motion: Motion, tint: dict[str, Colour]) -> None:
    w, h = actor.place.half_width, actor.place.half_height
    y = motion.y - 0.1 * h
    for side in (-1, 1):
        x = motion.x + side * 0.42 * w
        canvas.ellipse((x, y), (0.22 * w, 0.14 * h), np.multiply(tint["skin"], 0.8))
        canvas.ellipse((x, y), (0.21 * w, 0.135 * h * motion.lids), tint["white"], alpha=motion.lids)
        iris = (0.09 * w, 0.1 * h * motion.lids)
        canvas.ellipse((x + motion.gaze, y), iris, _INK, alpha=motion.lids)
        brow = y - 0.24 * h - motion.brows
        canvas.line((x - 0.18 * w, brow), (x + 0.18 * w, brow), 0.07 * h, np.multiply(tint["hair"], 0.75))


def _draw_mouth(
    canvas: Canvas, actor: Actor, motion: Motion, opening: np.ndarray, tint: dict[str, Colour]
) -> None:
    top, bottom = _lip_lines(actor, motion, opening)
    width = MOUTH_WIDTH * actor.place.half_width
    middle = (top + bottom) / 2
    canvas.lens(motion.x, width + _LIP, top - _LIP, bottom + _LIP, middle, tint["lips"])
    canvas.lens(motion.x, width, top, bottom, middle, tint["inside"])


def _wander(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """A slow random walk within -1..1: three sines of 0.15 to 0.9 Hz."""
    rates, phases = 0.15 + 0.75 * rng.random(3), 2 * np.pi * rng.random(3)
    return np.sin(2 * np.pi * rates * times[:, None] + phases).mean(axis=1)


def _blinks(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """Open lids but for a blink of three frames every two seconds or so."""
    lids = np.ones(num_frames + 4)
    start = int(rng.integers(25))
    while start < num_frames:
        lids[start : start + 3] = (0.4, 0.0, 0.5)
        start += 12 + int(rng.integers(25))
    return lids[:num_frames]
