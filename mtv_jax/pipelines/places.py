"""Where the source of a sound is seen: a box, a moving box, or the background; and the text form of it.

left,top,right,bottom                 shares of the frame, from its left and its top:  0,.3,.5,.7
SECONDSs:box;SECONDSs:box;...         moves from box to box:                           0s:0,.3,.5,.7;2s:.5,.3,1,.7
background                            the whole frame, behind the others
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from mtv_jax.diffusion.mosaic.boxes import boxes_of_frames, check_keyframes
from mtv_jax.diffusion.mosaic.options import Box, MosaicOptions
from mtv_jax.io.errors import UserError

BACKGROUND = "background"
_KEY = re.compile(r"(?P<seconds>[^:;]*?)\s*s\s*:(?P<box>[^:;]*)")
_FORMS = "left,top,right,bottom in 0 to 1, such as 0,.3,.5,.7; 0s:BOX;2s:BOX; or background"


@dataclass(frozen=True)
class Place:
    """Where a source is seen.

    Attributes:
      keys: boxes (left, top, right, bottom, shares of the frame) by the second at which the source is there, in order;
        between them it moves evenly, before the first and after the last it stands still. Empty: the background.

    Raises UserError for times that do not increase, and for boxes that are empty or not within the frame.
    """

    keys: tuple[tuple[float, Box], ...] = ()

    def __post_init__(self):
        if self.keys:
            check_keyframes(self.keys)

    @classmethod
    def at(cls, *box: float) -> "Place":
        """A box that stands still."""
        left, top, right, bottom = box
        return cls(((0.0, (left, top, right, bottom)),))

    @property
    def background(self) -> bool:
        """Whether the source has the whole frame, behind the others."""
        return not self.keys

    def boxes(self, num_frames: int, fps: Fraction) -> Float[np.ndarray, "f 4"]:
        """Its box in each frame; that of the background is the frame."""
        if self.background:
            return np.tile(np.array([0, 0, 1, 1], np.float32), (num_frames, 1))
        return boxes_of_frames(self.keys, np.arange(num_frames) / float(fps))


@dataclass(frozen=True)
class Scene:
    """What a request says of the sources of its tracks (`mtv_jax.diffusion.mosaic`); None: as the model says.

    Attributes:
      places: where each is seen, by the name of its track; None: side by side.
      locate_until: the lowest timestep of Object Locating.
      options: how boxes act, the same for all requests of a batch.
    """

    places: Mapping[str, Place] | None = None
    locate_until: float | None = None
    options: MosaicOptions | None = None


def parse_place(text: str) -> Place:
    """The place of its text form (see above). Raises UserError for any other text."""
    text = text.strip()
    if text == BACKGROUND:
        return Place()
    if ":" not in text:
        return Place.at(*_parse_box(text))
    keys = []
    for part in text.split(";"):
        found = _KEY.fullmatch(part.strip())
        seconds = _number(found["seconds"]) if found else None
        if found is None or seconds is None:
            raise UserError(f"place {text!r}: must be {_FORMS}")
        keys.append((seconds, _parse_box(found["box"])))
    return Place(tuple(keys))


def _parse_box(text: str) -> Box:
    sides = [_number(side) for side in text.split(",")]
    left, top, right, bottom = sides if len(sides) == 4 else (None,) * 4
    if left is None or top is None or right is None or bottom is None:
        raise UserError(f"place {text.strip()!r}: must be {_FORMS}")
    return left, top, right, bottom


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
