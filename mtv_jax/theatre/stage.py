"""The stage behind the actors: its colours are the music's mood.

Everything on it is the mood's colour times a grey shade, so any of its pixels gives the hue; the rows above
`PLAIN` have the shade 1 and are never covered, so their mean gives the brightness too.
"""

from dataclasses import dataclass

import numpy as np

from mtv_jax.theatre.paint import UNITS, Canvas

PLAIN = 4.0
"""Height in stage units, from the top of the square, that no decor, light or head reaches."""

DECORS = ("curtains", "window", "stripes", "arch")
_FLOOR = 50.0  # units: where the floor begins
_COLD, _WARM = 250.0, 40.0
_DARK, _BRIGHT = 0.35, 0.9
_SATURATION = 0.7
_GREY = 0.55  # brightness of the stage without music


@dataclass(frozen=True)
class Mood:
    """The mood of music: `valence` from sad 0 to glad 1, `energy` from calm 0 to wild 1."""

    valence: float
    energy: float

    @property
    def tempo(self) -> float:
        """Beats a minute: 60 when calm, 160 when wild."""
        return 60 + 100 * self.energy


def hue_of(valence: float) -> float:
    """Hue in degrees: from blue (250) when sad, by green, down to orange (40) when glad; linear."""
    return _COLD + (_WARM - _COLD) * valence


def valence_of(hue: float) -> float:
    """The inverse of `hue_of`."""
    return (hue - _COLD) / (_WARM - _COLD)


def brightness_of(energy: float) -> float:
    """Largest colour channel of the stage in 0..1: 0.35 when calm, 0.9 when wild; linear."""
    return _DARK + (_BRIGHT - _DARK) * energy


def energy_of(brightness: float) -> float:
    """The inverse of `brightness_of`."""
    return (brightness - _DARK) / (_BRIGHT - _DARK)


def sway_of(mood: Mood, times: np.ndarray) -> np.ndarray:
    """How far the light has swung to the right, stage units: one swing in four beats, wider with energy.

    Its height is 2 + 8 * energy units.
    """
    return (2 + 8 * mood.energy) * np.sin(2 * np.pi * times * mood.tempo / 240)


def stage_colour(mood: Mood | None) -> np.ndarray:
    """Red, green, blue in 0..255 of the plain stage; without music it is grey."""
    if mood is None:
        return np.full(3, 255 * _GREY)
    return 255 * _hsv(hue_of(mood.valence), _SATURATION, brightness_of(mood.energy))


def light_of(mood: Mood | None) -> float:
    """What the colours of actors and props are multiplied by: 0.82 to 1 with energy, 0.92 without music."""
    return 0.92 if mood is None else 0.82 + 0.18 * mood.energy


def draw_stage(canvas: Canvas, mood: Mood | None, decor: str, times: np.ndarray) -> None:
    """Paints wall, floor, decor and the swaying light over the whole canvas; `times` [F] in seconds."""
    sway = sway_of(mood, times) if mood else np.zeros_like(times)
    shade = np.broadcast_to(_static_shade(canvas, decor), (len(times), *canvas.pixels.shape[1:3]))
    dx = (canvas.x - (32 + sway[:, None])) / 20
    dy = (canvas.y - 30) / 26
    fade = np.clip((canvas.y - PLAIN) / 8, 0, 1) * np.exp(-(dy**2))
    spot = np.exp(-(dx**2))[:, None, :] * fade[:, None]
    canvas.pixels[:] = ((shade + 0.22 * spot)[..., None] * stage_colour(mood)).astype(np.float32)


def _static_shade(canvas: Canvas, decor: str) -> np.ndarray:
    """Grey factors [H, W]; 1 above PLAIN."""
    x, y = canvas.x[None], canvas.y[:, None]
    wall = 1 - 0.2 * np.clip((y - PLAIN) / UNITS, 0, 1)
    depth = _decor(decor, x, y) * np.clip((y - PLAIN) / 2, 0, 1)
    floor = np.clip((y - _FLOOR) * canvas.scale + 0.5, 0, 1)
    planks = 0.58 + 0.06 * np.sin((x - 32) / (y - 36).clip(4) * 12)
    return wall * (1 - depth) * (1 - floor) + planks * floor


def _decor(decor: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How much darker the wall is, 0..1, [H, W]."""
    side = np.abs(x - 32)
    if decor == "curtains":
        folds = 0.2 + 0.12 * np.sin(x * 1.05)
        return folds * np.clip((side - 20) + (y - 20) / 30, 0, 1)
    if decor == "window":
        inside = (np.abs(x - 32) < 14) & (np.abs(y - 18) < 10)
        bars = (np.abs(x - 32) < 1) | (np.abs(y - 18) < 1)
        return np.where(inside & ~bars, -0.12, 0.0) + np.where(inside & bars, 0.25, 0.0)
    if decor == "stripes":
        return 0.1 + 0.1 * np.sign(np.sin(x * 2 * np.pi / 12)) + 0 * y
    ring = np.sqrt((x - 32) ** 2 + (y - 44) ** 2)
    return 0.25 * np.clip(1.5 - np.abs(ring - 34) / 2, 0, 1)


def _hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Red, green, blue in 0..1 of a hue in degrees."""
    k = (np.array([5.0, 3.0, 1.0]) + hue / 60) % 6
    return value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
