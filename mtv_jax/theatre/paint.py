"""A canvas of all frames of a clip at once, with a few smooth-edged shapes.

Coordinates are *stage units*, whatever the size in pixels: a square of 64 x 64 units as large as fits, x to the
right, y down, anchored at the middle of the frame's bottom edge. So y = 64 is the bottom, x = 32 the middle.
"""

import numpy as np

UNITS = 64.0
"""Side of the square that everything is planned in."""

Value = float | np.ndarray
"""A number, or one for each frame: float [F]."""
Colour = tuple[float, float, float] | np.ndarray
"""Red, green, blue in 0..255; or one for each frame: float [F, 3]."""


class Canvas:
    """Float32 pixels [F, H, W, 3] in 0..255, painted over from back to front."""

    def __init__(self, num_frames: int, height: int, width: int):
        self.pixels = np.zeros((num_frames, height, width, 3), np.float32)
        self.scale = min(height, width) / UNITS  # pixels a unit
        self.x = ((np.arange(width) + 0.5 - width / 2) / self.scale + UNITS / 2).astype(np.float32)
        self.y = ((np.arange(height) + 0.5 - height) / self.scale + UNITS).astype(np.float32)

    def to_pixels(self, box: np.ndarray) -> np.ndarray:
        """Boxes [..., 4] of (x0, y0, x1, y1) from units to pixels."""
        _, height, width, _ = self.pixels.shape
        origin = np.array([width / 2 - UNITS / 2 * self.scale, height - UNITS * self.scale] * 2)
        return box * self.scale + origin

    def to_uint8(self) -> np.ndarray:
        """The frames, rounded: uint8 [F, H, W, 3]."""
        return np.clip(np.rint(self.pixels), 0, 255).astype(np.uint8)

    def ellipse(
        self,
        centre: tuple[Value, Value],
        radii: tuple[Value, Value],
        colour: Colour,
        *,
        alpha: Value = 1.0,
        above: Value | None = None,
    ) -> None:
        """A filled ellipse; only what lies above y = `above` if that is given."""
        (x, y), (rx, ry) = centre, radii
        window = self._window(x, y, rx, ry)
        dx, dy = self._offsets(window, x, y)
        rx, ry = _column(np.maximum(rx, 0.05)), _column(np.maximum(ry, 0.05))
        norm = np.sqrt((dx / rx) ** 2 + (dy / ry) ** 2)
        slope = np.sqrt((dx / rx**2) ** 2 + (dy / ry**2) ** 2)
        distance = norm * (norm - 1) / np.maximum(slope, 1e-6)
        coverage = self._coverage(distance)
        if above is not None:
            coverage = coverage * self._coverage(self.y[window[0]][:, None] - _column(above))
        self._blend(window, coverage, colour, alpha)

    def box(
        self,
        centre: tuple[Value, Value],
        half: tuple[Value, Value],
        colour: Colour,
        *,
        corner: float = 0.0,
    ) -> None:
        """A filled rectangle of half width and half height `half`, with corners of radius `corner`."""
        (x, y), (hx, hy) = centre, half
        window = self._window(x, y, hx, hy)
        dx, dy = self._offsets(window, x, y)
        over_x, over_y = np.abs(dx) - (_column(hx) - corner), np.abs(dy) - (_column(hy) - corner)
        outside = np.sqrt(np.maximum(over_x, 0) ** 2 + np.maximum(over_y, 0) ** 2)
        distance = outside + np.minimum(np.maximum(over_x, over_y), 0) - corner
        self._blend(window, self._coverage(distance), colour, 1.0)

    def line(
        self, start: tuple[Value, Value], end: tuple[Value, Value], thickness: float, colour: Colour
    ) -> None:
        """A straight line with round ends."""
        middle = tuple((np.asarray(a) + b) / 2 for a, b in zip(start, end, strict=True))
        reach = tuple(np.abs(np.asarray(a) - b) / 2 + thickness for a, b in zip(start, end, strict=True))
        window = self._window(middle[0], middle[1], reach[0], reach[1])
        px, py = self._offsets(window, *start)
        vx, vy = (_column(np.asarray(b) - a) for a, b in zip(start, end, strict=True))
        along = np.clip((px * vx + py * vy) / np.maximum(vx**2 + vy**2, 1e-6), 0, 1)
        distance = np.sqrt((px - along * vx) ** 2 + (py - along * vy) ** 2) - thickness / 2
        self._blend(window, self._coverage(distance), colour, 1.0)

    def lens(
        self, centre_x: Value, half_width: float, top: Value, bottom: Value, middle: Value, colour: Colour
    ) -> None:
        """An almond between `top` and `bottom`, its corners at y = `middle`.

        What a pixel is covered by is exact along y, so the painted area is proportional to bottom - top
        however thin the almond is.
        """
        window = self._window(centre_x, middle, half_width, np.maximum(bottom - middle, middle - top))
        dx, dy = self._offsets(window, centre_x, middle)
        profile = np.sqrt(np.clip(1 - (dx / half_width) ** 2, 0, 1))
        half = 0.5 / self.scale
        upper, lower = (
            _column(np.asarray(top) - middle) * profile,
            _column(np.asarray(bottom) - middle) * profile,
        )
        overlap = np.minimum(dy + half, lower) - np.maximum(dy - half, upper)
        self._blend(window, np.clip(overlap / (2 * half), 0, 1), colour, 1.0)

    def glow(self, centre: tuple[Value, Value], radius: float, colour: Colour, alpha: Value) -> None:
        """A round light that fades to nothing at `radius`."""
        window = self._window(centre[0], centre[1], radius, radius)
        dx, dy = self._offsets(window, *centre)
        fade = np.clip(1.35 * (1 - np.sqrt(dx**2 + dy**2) / radius), 0, 1)
        self._blend(window, fade, colour, alpha)

    def _window(self, x: Value, y: Value, reach_x: Value, reach_y: Value) -> tuple[slice, slice]:
        """Rows and columns that a shape can touch in any frame."""
        edge = 1.0 / self.scale
        rows = _slice(self.y, np.min(np.asarray(y) - reach_y) - edge, np.max(np.asarray(y) + reach_y) + edge)
        columns = _slice(
            self.x, np.min(np.asarray(x) - reach_x) - edge, np.max(np.asarray(x) + reach_x) + edge
        )
        return rows, columns

    def _offsets(self, window: tuple[slice, slice], x: Value, y: Value) -> tuple[np.ndarray, np.ndarray]:
        """Distance from (x, y): [F or 1, 1, columns] and [F or 1, rows, 1]."""
        rows, columns = window
        return self.x[columns] - _column(x), self.y[rows][:, None] - _column(y)

    def _coverage(self, distance: np.ndarray) -> np.ndarray:
        """How much of a pixel lies within a shape whose edge is `distance` units away (negative: inside)."""
        return np.clip(0.5 - distance * np.float32(self.scale), 0, 1)

    def _blend(self, window: tuple[slice, slice], coverage: np.ndarray, colour: Colour, alpha: Value) -> None:
        region = self.pixels[:, window[0], window[1]]
        weight = (coverage * _column(alpha))[..., None].astype(np.float32)
        tint = np.asarray(colour, np.float32)
        tint = tint[:, None, None] if tint.ndim == 2 else tint
        region += weight * (tint - region)


def _column(value: Value) -> np.ndarray:
    """A number as [1, 1, 1], a number for each frame as [F, 1, 1]."""
    return np.asarray(value, np.float32).reshape(-1, 1, 1)


def _slice(grid: np.ndarray, low: float, high: float) -> slice:
    return slice(int(np.searchsorted(grid, low)), int(np.searchsorted(grid, high, side="right")))
