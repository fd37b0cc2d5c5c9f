"""The kinds of things and backgrounds, and how each is drawn.

Every thing has a hue of its own, on a grey stage, so that what stands where can be read from a picture.
"""

from collections.abc import Callable

import numpy as np

from mtv_jax.theatre.paint import Canvas, Value

KINDS: dict[str, tuple[int, int, int]] = {
    "drum": (225, 40, 44),
    "bell": (240, 186, 30),
    "frog": (60, 190, 60),
    "kettle": (40, 196, 206),
    "bird": (56, 84, 230),
    "car": (196, 52, 206),
}
"""The things, and the main colour of each."""

BACKGROUNDS = ("rain", "wind")
"""Sounds that fill the frame, behind the things."""

_INK = (26.0, 26.0, 26.0)
_WHITE = (246.0, 246.0, 246.0)
_SMALL, _DIM = 0.62, 0.42
"""Size and brightness of a thing that makes no sound, of those at its loudest."""


def size_of(activity: Value) -> np.ndarray:
    """Size of a thing over that at its loudest, linear in its activity (0 to 1)."""
    return _SMALL + (1 - _SMALL) * np.asarray(activity)


def brightness_of(activity: Value) -> np.ndarray:
    """Brightness of a thing over that at its loudest, linear in its activity (0 to 1)."""
    return _DIM + (1 - _DIM) * np.asarray(activity)


def draw_stage(
    canvas: Canvas, grey: float, background: str | None, activity: np.ndarray, times: np.ndarray
) -> None:
    """Paints a grey wall and floor, and the background: streaks as strong as it is loud, [F] in 0..1, at `times` s."""
    wall = {None: grey, "rain": 0.55 * grey, "wind": min(1.35 * grey, 1.0)}[background]
    canvas.pixels[:] = 255 * wall
    floor = canvas.y > _FLOOR
    canvas.pixels[:, floor] *= 0.72
    if background == "rain":
        _draw_rain(canvas, activity, times)
    elif background == "wind":
        _draw_wind(canvas, activity, times)


_FLOOR = 54.0


def draw_thing(
    canvas: Canvas, kind: str, centre: tuple[Value, Value], half: tuple[float, float], activity: np.ndarray
) -> None:
    """Paints a thing in all frames, as large and bright as its activity [F] says, and light around it."""
    scale, light = size_of(activity), brightness_of(activity)
    colour = light[:, None] * np.asarray(KINDS[kind], np.float64)
    w, h = scale * half[0], scale * half[1]
    canvas.glow(centre, 1.25 * max(half), _WHITE, 0.6 * activity)
    _DRAWN[kind](canvas, centre, w, h, colour)


def _draw_drum(canvas: Canvas, centre: tuple[Value, Value], w: Value, h: Value, colour: np.ndarray) -> None:
    x, y = centre
    canvas.box((x, y + 0.25 * h), (w, 0.75 * h), colour, corner=1.0)
    canvas.ellipse((x, y - 0.5 * h), (w, 0.42 * h), _dark(colour))
    canvas.ellipse((x, y - 0.5 * h), (0.82 * w, 0.28 * h), _pale(colour))


def _draw_bell(canvas: Canvas, centre: tuple[Value, Value], w: Value, h: Value, colour: np.ndarray) -> None:
    x, y = centre
    canvas.ellipse((x, y + 0.8 * h), (0.24 * w, 0.2 * h), _dark(colour))
    canvas.ellipse((x, y - 0.1 * h), (0.68 * w, 0.9 * h), colour)
    canvas.box((x, y + 0.62 * h), (w, 0.2 * h), colour, corner=1.0)
    canvas.ellipse((x - 0.25 * w, y - 0.3 * h), (0.14 * w, 0.3 * h), _pale(colour))


def _draw_frog(canvas: Canvas, centre: tuple[Value, Value], w: Value, h: Value, colour: np.ndarray) -> None:
    x, y = centre
    canvas.ellipse((x, y + 0.25 * h), (w, 0.75 * h), colour)
    for side in (-1, 1):
        canvas.ellipse((x + side * 0.5 * w, y - 0.6 * h), (0.34 * w, 0.4 * h), colour)
        canvas.ellipse((x + side * 0.5 * w, y - 0.62 * h), (0.16 * w, 0.2 * h), _INK)
    canvas.box((x, y + 0.4 * h), (0.5 * w, 0.08 * h), _INK)


def _draw_kettle(canvas: Canvas, centre: tuple[Value, Value], w: Value, h: Value, colour: np.ndarray) -> None:
    x, y = centre
    canvas.line((x + 0.3 * w, y + 0.3 * h), (x + 0.9 * w, y - 0.4 * h), 3.5, colour)
    canvas.ellipse((x - 0.1 * w, y - 0.55 * h), (0.5 * w, 0.42 * h), _dark(colour))
    canvas.ellipse((x - 0.15 * w, y + 0.3 * h), (0.82 * w, 0.68 * h), colour)
    canvas.ellipse((x - 0.35 * w, y + 0.1 * h), (0.16 * w, 0.22 * h), _pale(colour))


def _draw_bird(canvas: Canvas, centre: tuple[Value, Value], w: Value, h: Value, colour: np.ndarray) -> None:
    x, y = centre
    canvas.line((x - 0.4 * w, y + 0.3 * h), (x - 0.95 * w, y + 0.75 * h), 4.0, colour)
    canvas.ellipse((x - 0.05 * w, y + 0.25 * h), (0.8 * w, 0.62 * h), colour)
    canvas.ellipse((x + 0.45 * w, y - 0.45 * h), (0.45 * w, 0.5 * h), colour)
    canvas.ellipse((x + 0.55 * w, y - 0.55 * h), (0.12 * w, 0.14 * h), _WHITE)
    canvas.ellipse((x - 0.15 * w, y + 0.25 * h), (0.4 * w, 0.26 * h), _dark(colour))


def _draw_car(canvas: Canvas, centre: tuple[Value, Value], w: Value, h: Value, colour: np.ndarray) -> None:
    x, y = centre
    canvas.box((x, y + 0.25 * h), (w, 0.42 * h), colour, corner=1.5)
    canvas.box((x - 0.1 * w, y - 0.4 * h), (0.6 * w, 0.45 * h), colour, corner=1.5)
    canvas.box((x - 0.1 * w, y - 0.38 * h), (0.42 * w, 0.26 * h), _pale(colour))
    for side in (-1, 1):
        canvas.ellipse((x + side * 0.55 * w, y + 0.68 * h), (0.28 * w, 0.32 * h), _INK)


_Drawn = Callable[[Canvas, tuple[Value, Value], Value, Value, np.ndarray], None]
_DRAWN: dict[str, _Drawn] = {
    "drum": _draw_drum,
    "bell": _draw_bell,
    "frog": _draw_frog,
    "kettle": _draw_kettle,
    "bird": _draw_bird,
    "car": _draw_car,
}


def _draw_rain(canvas: Canvas, activity: np.ndarray, times: np.ndarray) -> None:
    """White slanted streaks that fall."""
    for column in range(16):
        x = -14.0 + 6.2 * column
        y = (17.0 * column + 44.0 * times) % 76.0 - 6.0
        _streak(canvas, (x, y), (x - 3.0, y + 9.0), 1.6, _WHITE, activity)


def _draw_wind(canvas: Canvas, activity: np.ndarray, times: np.ndarray) -> None:
    """Dark level streaks that drift to the right."""
    for row in range(7):
        y = 4.0 + 8.5 * row
        x = (31.0 * row + 30.0 * times) % 120.0 - 28.0
        _streak(canvas, (x, y), (x + 24.0, y), 2.0, (70.0, 70.0, 70.0), activity)


def _streak(
    canvas: Canvas,
    start: tuple[Value, Value],
    end: tuple[Value, Value],
    thickness: float,
    colour: tuple[float, float, float],
    activity: np.ndarray,
) -> None:
    """A line that is as thick as it is active; a silent one is a fifth."""
    middle = (np.add(start[0], end[0]) / 2, np.add(start[1], end[1]) / 2)
    radii = (abs(np.subtract(end[0], start[0])) / 2 + 0.5, abs(np.subtract(end[1], start[1])) / 2 + thickness)
    if abs(float(np.mean(np.subtract(end[1], start[1])))) < 1:
        canvas.ellipse(
            middle, (radii[0], thickness * (0.3 + 0.7 * activity)), colour, alpha=0.2 + 0.8 * activity
        )
    else:
        canvas.ellipse(
            middle, (thickness * (0.3 + 0.7 * activity), radii[1]), colour, alpha=0.2 + 0.8 * activity
        )


def _dark(colour: np.ndarray) -> np.ndarray:
    return 0.62 * colour


def _pale(colour: np.ndarray) -> np.ndarray:
    return colour + 0.45 * (colour.max(axis=1, keepdims=True) - colour)
