"""Black bars above and below a picture, or beside it."""

from dataclasses import dataclass

import numpy as np

from mtv_jax.typing import Bool, UInt8

_BLACK = 24
"""Greatest level of a bar's pixels: black is 0, and codecs ring by some levels at its edge."""
_STRAY = 0.01
"""Share of a line's pixels that may be brighter, such as ringing at corners."""
_PICTURE = 0.5
"""Share of a line's pixels that are brighter where the picture begins: an edge that is straight and as wide as it."""
_EDGE = 4
"""Lines within which it begins."""


@dataclass(frozen=True)
class Bars:
    """Widths of the bars as shares of the picture's height (`top`, `bottom`) or width (`left`, `right`)."""

    top: float
    bottom: float
    left: float
    right: float

    @property
    def area(self) -> float:
        """Share of the picture that the bars cover."""
        return 1 - (1 - self.top - self.bottom) * (1 - self.left - self.right)


def black_bars(frames: UInt8[np.ndarray, "F H W 3"]) -> Bars:
    """The bars that stay black in all frames.

    A dark scene is not a bar: something in it is lit in one of the frames, or its dark border has no straight edge.
    A picture that is black throughout has no bars. Bars with subtitles on them are missed.
    """
    lit = frames.max(axis=(0, 3)) > _BLACK
    height, width = lit.shape
    rows = [_bar(part) for part in (lit, lit[::-1])]
    inside = lit[rows[0] : height - rows[1]]
    columns = [_bar(part) for part in (inside.T, inside.T[::-1])]
    return Bars(*(n / height for n in rows), *(n / width for n in columns))


def _bar(lit: Bool[np.ndarray, "n m"]) -> int:
    """How many of the first lines are a bar."""
    share = lit.mean(axis=1)
    inner = np.flatnonzero(share > _STRAY)
    if not len(inner):
        return 0
    start = int(inner[0])
    return start if share[start : start + _EDGE].max() >= _PICTURE else 0
