"""Things that react when they sound: each is struck, and flashes, in the frame of its onset."""

import numpy as np

from mtv_jax.theatre.paint import Canvas
from mtv_jax.theatre.plan import Place, Prop

_FLASH = (255.0, 252.0, 226.0)
_INK = (36.0, 30.0, 34.0)
_DECAY = (1.0, 0.45, 0.15)
"""Of a reaction, in the frame of the onset and the two after."""


def reaction(event_frames: tuple[int, ...], num_frames: int) -> np.ndarray:
    """How strongly the prop reacts, [F] in 0..1: 1 in each frame of an onset, gone after three frames."""
    strength = np.zeros(num_frames)
    for frame in event_frames:
        for later, value in enumerate(_DECAY[: num_frames - frame]):
            strength[frame + later] = max(strength[frame + later], value)
    return strength


def draw_prop(canvas: Canvas, prop: Prop, event_frames: tuple[int, ...], light: float) -> None:
    """Paints the prop in all frames, a flash behind it, and what moves."""
    strength = reaction(event_frames, len(canvas.pixels))
    place = prop.place
    radius = 1.5 * max(place.half_width, place.half_height)
    canvas.glow((place.x, place.y), radius, _FLASH, 0.95 * strength)
    if prop.name == "ball":
        _draw_ball(canvas, place, strength, _heights(event_frames, len(canvas.pixels)), light)
    else:
        {"drum": _draw_drum, "bell": _draw_bell, "door": _draw_door}[prop.name](
            canvas, place, strength, light
        )


def _draw_drum(canvas: Canvas, place: Place, strength: np.ndarray, light: float) -> None:
    """A red drum; the stick is on it when it is struck and above it otherwise."""
    w, h = 0.95 * place.half_width, place.half_height
    squash = 0.12 * h * strength
    top = place.y - 0.05 * h + squash
    body = _lit((190, 34, 44), light)
    canvas.box((place.x, place.y + 0.45 * h), (w + 0.6, 0.52 * h), _INK)
    canvas.box((place.x, place.y + 0.45 * h), (w, 0.5 * h - 0.5), body)
    for x in (-0.6, 0.0, 0.6):
        canvas.line(
            (place.x + x * w, place.y), (place.x + x * w, place.y + 0.85 * h), 0.08 * w, (238, 206, 120)
        )
    canvas.ellipse((place.x, top), (w + 0.6, 0.26 * h + 0.6), _INK)
    canvas.ellipse((place.x, top), (w, 0.26 * h), _lit((244, 234, 214), light))
    canvas.ellipse((place.x, top), (w, 0.26 * h), _FLASH, alpha=strength)
    tip = place.y - 0.8 * h + 0.75 * h * strength
    canvas.line((place.x + 0.75 * w, tip - 0.25 * h), (place.x, tip), 0.13 * h, (120, 76, 40))
    canvas.ellipse((place.x, tip), (0.15 * w, 0.15 * h), (90, 54, 28))


def _draw_bell(canvas: Canvas, place: Place, strength: np.ndarray, light: float) -> None:
    """A golden bell that swings aside and shines when it is struck."""
    w, h = 0.85 * place.half_width, place.half_height
    x = place.x + 0.35 * w * _swing(strength)
    gold = (
        _lit((226, 168, 40), light)
        + (np.array(_FLASH) - _lit((226, 168, 40), light)) * 0.6 * strength[:, None]
    )
    canvas.line((place.x, place.y - h), (x, place.y - 0.6 * h), 0.14 * h, _INK)
    canvas.ellipse((place.x + 0.6 * w * _swing(-strength), place.y + 0.72 * h), (0.2 * w, 0.2 * h), _INK)
    canvas.ellipse((x, place.y - 0.1 * h), (0.72 * w + 0.6, 0.68 * h + 0.6), _INK)
    canvas.box((x, place.y + 0.5 * h), (w + 0.6, 0.16 * h + 0.6), _INK, corner=0.12 * h)
    canvas.ellipse((x, place.y - 0.1 * h), (0.72 * w, 0.68 * h), gold)
    canvas.box((x, place.y + 0.28 * h), (0.72 * w, 0.3 * h), gold)
    canvas.box((x, place.y + 0.5 * h), (w, 0.16 * h), gold, corner=0.12 * h)


def _draw_door(canvas: Canvas, place: Place, strength: np.ndarray, light: float) -> None:
    """A blue door in a dark frame; it flies open onto bright light."""
    w, h = 0.8 * place.half_width, place.half_height
    canvas.box((place.x, place.y), (w + 1.2, h + 1.2), _INK)
    canvas.box((place.x, place.y), (w, h), _FLASH)
    half = w * (1 - 0.8 * strength)
    x = place.x - w + half
    canvas.box((x, place.y), (half, h), _lit((52, 92, 150), light))
    for y in (-0.45, 0.45):
        canvas.box((x, place.y + y * h), (0.6 * half, 0.32 * h), _lit((34, 62, 108), light))
    canvas.ellipse((x + 0.78 * half, place.y + 0.05 * h), (0.11 * w, 0.11 * w), (236, 200, 90))


def _draw_ball(canvas: Canvas, place: Place, strength: np.ndarray, height: np.ndarray, light: float) -> None:
    """An orange ball that hangs in its arc between bounces and is flat on the floor when it hits it."""
    r = max(6.0, 0.55 * min(place.half_width, place.half_height))
    floor = place.y + place.half_height
    flat = 0.35 * (strength == 1)
    ry = r * (1 - flat)
    y = floor - ry - height * (2 * place.half_height - 2 * r)
    rx = r * (1 + flat)
    canvas.ellipse((place.x, floor), (rx * (1 - 0.4 * height), 0.14 * r), _INK, alpha=0.7)
    canvas.ellipse((place.x, y), (rx + 0.6, ry + 0.6), _INK)
    canvas.ellipse((place.x, y), (rx, ry), _lit((240, 122, 28), light))
    canvas.ellipse((place.x - 0.3 * rx, y - 0.35 * ry), (0.26 * rx, 0.22 * ry), (255, 214, 170))


def _heights(event_frames: tuple[int, ...], num_frames: int) -> np.ndarray:
    """Of the ball, [F] in 0..1: 0 on the floor in each frame of an onset, an arc of six frames around it.

    Without onsets, and away from them, it hangs at 1.
    """
    frames = np.arange(num_frames)
    away = np.full(num_frames, 3.0)
    for frame in event_frames:
        away = np.minimum(away, np.abs(frames - frame))
    return 1 - (1 - away / 3) ** 2 if event_frames else np.ones(num_frames)


def _swing(strength: np.ndarray) -> np.ndarray:
    """To one side in the frame of the onset, to the other in the next: [F] in -1..1."""
    return np.where(np.abs(strength) == 1, strength, -strength)


def _lit(colour: tuple[int, int, int], light: float) -> np.ndarray:
    return np.multiply(colour, light).astype(np.float64)
