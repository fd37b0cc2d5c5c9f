"""Black bars above and below a picture, or beside it."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mtv_jax.curation.roles import Evidence, scores
from mtv_jax.io.video import read_video
from mtv_jax.typing import Int, UInt8

_BLACK = 24
"""Greatest level of a bar's pixels: black is 0, and codecs ring by some levels at its edge."""
_STRAY = 0.01
"""Share of a line's pixels that may be brighter, such as ringing at corners."""
_EDGE, _RISE = 4, 12
"""Where the picture begins its pixels are brighter by so many levels within so many lines, ..."""
_STRAIGHT = 0.5
"""... in this share of the line: the edge is straight. That of something dark in a picture is not."""
_FPS = 2


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


def bar_scores(clip: Path) -> Evidence:
    """Scores of a video file: `share` of the picture that bars cover, and the width of each (`Bars`)."""
    frames, _ = read_video(clip, fps=_FPS)
    bars = black_bars(frames)
    return scores(share=bars.area, **asdict(bars))


def black_bars(frames: UInt8[np.ndarray, "F H W 3"]) -> Bars:
    """The bars that stay black in all frames.

    A dark scene is not a bar: something in it is lit in one of the frames, or its dark border has no straight edge.
    A picture that is black throughout has no bars. Bars with subtitles on them are missed.
    """
    brightest = frames.max(axis=(0, 3)).astype(int)
    height, width = brightest.shape
    rows = [_bar(part) for part in (brightest, brightest[::-1])]
    inside = brightest[rows[0] : height - rows[1]]
    columns = [_bar(part) for part in (inside.T, inside.T[::-1])]
    return Bars(*(n / height for n in rows), *(n / width for n in columns))


def _bar(levels: Int[np.ndarray, "n m"]) -> int:
    """How many of the first lines are a bar."""
    inner = np.flatnonzero((levels > _BLACK).mean(axis=1) > _STRAY)
    if not len(inner) or inner[0] == 0:
        return 0
    start = int(inner[0])
    rise = levels[start : start + _EDGE].max(axis=0) - levels[start - 1]
    return start if (rise >= _RISE).mean() >= _STRAIGHT else 0
