"""Length, rate and size of clips of video."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError
from mtv_jax.io.rates import exact_fps


@dataclasses.dataclass(frozen=True)
class ClipSize:
    """The size of clips: a property of the data, independent of the backbone. The defaults are MTV's.

    Attributes:
      num_frames, height, width: of every clip, in frames and pixels.
      fps: frames per second.
      native_rate: whether clips keep the rates of the videos they are cut from (MTV's training); `fps` is then the
        default rate of sampled videos.
    """

    num_frames: int = 49
    fps: Fraction = Fraction(24)
    height: int = 480
    width: int = 720
    native_rate: bool = dataclasses.field(default=False, kw_only=True)

    @property
    def duration(self) -> Fraction:
        """Seconds."""
        return self.num_frames / self.fps

    def replace(self, **values: Any) -> "ClipSize":
        """A copy with the given values; None keeps the current one."""
        given = {name: value for name, value in values.items() if value is not None}
        if "fps" in given:
            if not math.isfinite(given["fps"]):
                raise UserError(f"fps {given['fps']}: must be a finite number")
            given["fps"] = exact_fps(given["fps"])
        return dataclasses.replace(self, **given)

    def check(self, *, frames: int = 4, pixels: int = 16) -> None:
        """Raises UserError unless the length is 1 + `frames` * k and height and width are multiples of `pixels`.

        The defaults are those at full size: an autoencoder with ratios of 4 frames and 8 pixels, patches of 2.
        """
        if self.num_frames < 1:
            raise UserError(f"num_frames {self.num_frames}: must be at least 1")
        if (self.num_frames - 1) % frames:
            below = (self.num_frames - 1) // frames * frames + 1
            raise UserError(
                f"num_frames {self.num_frames}: must be 1 + {frames}k; the nearest are {below} and {below + frames}"
            )
        for name, value in (("height", self.height), ("width", self.width)):
            if value < pixels or value % pixels:
                below = max(value // pixels * pixels, pixels)
                raise UserError(
                    f"{name} {value}: must be divisible by {pixels}; the nearest are {below} and {below + pixels}"
                )
        if self.fps <= 0:
            raise UserError(f"fps {self.fps}: must be positive")

    def to_json(self) -> dict[str, Any]:
        """The JSON form in `model_index.json`."""
        return dataclasses.asdict(self) | {"fps": [self.fps.numerator, self.fps.denominator]}


def rate_of(pair: Any, name: str) -> Fraction:
    """Reads a rate from its JSON form, [numerator, denominator]. Raises UserError, naming it, for anything else."""
    if not isinstance(pair, list) or len(pair) != 2:
        raise UserError(f"{name} {pair!r}: must be a numerator and a denominator")
    return Fraction(*(check_whole(name, number, most=2**31 - 1) for number in pair))
