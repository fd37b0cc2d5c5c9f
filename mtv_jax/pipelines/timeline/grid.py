"""The frames of a video and the latent frames of a causal autoencoder that stand for them."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mtv_jax.io.errors import UserError


@dataclass(frozen=True)
class Grid:
    """Frames, and latent frames.

    Latent frame 0 stands for frame 0 alone, latent frame k >= 1 for the frames 1 + (k - 1) `ratio` to k `ratio`. The
    last one may stand for frames beyond the video, which are decoded and dropped.

    Attributes:
      num_frames: of the video.
      fps: frames a second.
      ratio: frames that the autoencoder joins in time (CogVideoX: 4).
    """

    num_frames: int
    fps: Fraction
    ratio: int

    @property
    def latent_frames(self) -> int:
        """Number of latent frames."""
        return -(-(self.num_frames - 1) // self.ratio) + 1

    @property
    def generated_frames(self) -> int:
        """Number of frames that the latent frames stand for, `num_frames` or up to `ratio` - 1 more."""
        return self.last_frame(self.latent_frames - 1) + 1

    @property
    def duration(self) -> Fraction:
        """Seconds."""
        return self.num_frames / self.fps

    def first_frame(self, latent: int) -> int:
        """The first frame that a latent frame stands for."""
        return max(1 + (latent - 1) * self.ratio, 0) if latent else 0

    def last_frame(self, latent: int) -> int:
        """The last frame that a latent frame stands for."""
        return latent * self.ratio

    def latent_of(self, frame: int) -> int:
        """The latent frame that stands for a frame."""
        return -(-frame // self.ratio)

    def border_of(self, frame: int) -> int:
        """The latent frame whose first frame is nearest to a frame; the later one of two."""
        return math.floor(Fraction(frame - 1, self.ratio) + Fraction(1, 2)) + 1 if frame > 0 else 0

    def frame_at(self, seconds: Fraction) -> int:
        """The frame nearest to a time."""
        return round(seconds * self.fps)

    def second_of(self, frame: int) -> float:
        """When a frame begins."""
        return float(frame / self.fps)


def exact_seconds(value: Any, what: str) -> Fraction:
    """Seconds as a fraction; a decimal is taken as it is written (0.1 is 1/10).

    Raises UserError, which begins with `what`, for anything but a finite number.
    """
    if isinstance(value, Fraction):
        return value
    # A scalar of NumPy is a number too.
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise UserError(f"{what}: must be a finite number of seconds")
    return Fraction(repr(number))


def total_frames(duration: Any, fps: Fraction) -> int:
    """The number of frames of a video of so many seconds, round(duration * fps). Raises UserError if it has none."""
    count = round(exact_seconds(duration, f"duration {duration}") * fps)
    if count < 1:
        raise UserError(f"duration {duration}: is less than a frame at {float(fps):g} frames a second")
    return count
