"""Shots of a video, what finds them, and the windows of them that become clips.

Times are exact: those of the decoded frames.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from mtv_jax.audio.separation.base import ModelCard
from mtv_jax.io.clip_size import rate_of
from mtv_jax.io.errors import UserError
from mtv_jax.io.film import ROUNDING_SECONDS
from mtv_jax.typing import UInt8

Edge = Literal["film", "cut", "fade", "dissolve"]
"""What a shot begins or ends with: the beginning or end of the video, a hard cut, black, or a dissolve."""


@dataclass(frozen=True)
class Change:
    """A change of shot: a cut at `frame`, the first one of the new shot, or a transition of the frames [frame, until).

    The frames of a `fade` are black, those of a `dissolve` mix two pictures, one of which may be black.
    """

    frame: int
    kind: Literal["cut", "fade", "dissolve"] = "cut"
    until: int | None = None

    @property
    def end(self) -> int:
        """The frame after the transition; of a cut the frame itself."""
        return self.frame if self.until is None else self.until


@dataclass(frozen=True)
class ShotsConfig:
    """How changes of shot are found. The thresholds of PySceneDetect's detectors are its own defaults, but for `black`.

    Attributes:
      detector: a model of the role `shots`. `whole` takes each film as one shot.
      height: pixels to which pictures are scaled down for comparison; cuts are as visible as at full size.
      adaptive_threshold: of the AdaptiveDetector: ratio of a frame's difference to that of the frames around it.
      adaptive_content: least difference for that detector, mean over hue, saturation and value in 0..255.
      content_threshold: of the ContentDetector, on the same difference.
      flash_frames: most frames of a flash, 0 to 2: after it the same picture goes on, so it is no cut.
      flash_similarity: a picture goes on if it differs from the one before the flash by at most this share of what
        the flash differs from it. Motion within three frames is far less, another shot far more.
      least_difference: of the pixels at a cut, mean in 0..255; less is noise of the hues of dark pictures.
      dissolve_difference, dissolve_error: of `mtv_jax.curation.dissolves`. On generated films (seeds from 1000) the
        middles of dissolves have differences of 47 or more with errors up to .15; elsewhere errors are .3 or more.
      black: mean level in 0..255 below which a frame is black. PySceneDetect's 12 takes dark scenes for black.
      black_frames: fewest black frames that are a fade; fewer are a flash.
    """

    detector: str = "pyscenedetect"
    height: int = 160
    adaptive_threshold: float = 3.0
    adaptive_content: float = 15.0
    content_threshold: float = 27.0
    flash_frames: int = 2
    flash_similarity: float = 0.5
    least_difference: float = 5.0
    dissolve_difference: float = 24.0
    dissolve_error: float = 0.2
    black: int = 8
    black_frames: int = 3

    def __post_init__(self):
        if not 0 <= self.flash_frames <= 2:
            raise UserError(f"flash_frames {self.flash_frames}: must be 0 to 2")


@runtime_checkable
class ChangeFinder(Protocol):
    """Finds changes of shot in pictures that come one by one, numbered from 0."""

    @property
    def settled(self) -> int:
        """Changes that begin before this frame have been returned, and no others will begin there."""
        ...

    @property
    def lasting(self) -> Sequence[Change]:
        """Transitions that are certain but may go on, as far as they are known. They begin at `settled` or later."""
        ...

    def put(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Sequence[Change]:
        """Gives the next picture; changes that are certain now, in any order, each once."""
        ...

    def end(self) -> Sequence[Change]:
        """The changes that are left when there is no further picture."""
        ...


@runtime_checkable
class ChangeDetector(Protocol):
    """Finds changes of shot (the role `shots`)."""

    @property
    def height(self) -> int:
        """Height in pixels of the pictures that it is given; 0: as they are."""
        ...

    def card(self) -> ModelCard:
        """What it is."""
        ...

    def begin(self, rate: Fraction) -> ChangeFinder:
        """Begins a video, whose average rate is `rate`. Its pictures are uint8 RGB [H W 3]."""
        ...


@dataclass(frozen=True)
class Shot:
    """A part of a video without a cut.

    Attributes:
      start_pts, end_pts: time stamps of its first frame and of its end, in `time_base` seconds.
      time_base: seconds.
      first_pts: time stamp of the video's first frame, from which `start` and `end` count.
      begins, ends: with what.
      transition: whether it is a fade or a dissolve, which no clip may show.
    """

    start_pts: int
    end_pts: int
    time_base: Fraction
    first_pts: int
    begins: Edge
    ends: Edge
    transition: bool = False

    @property
    def start(self) -> Fraction:
        """Seconds from the first frame of the video."""
        return (self.start_pts - self.first_pts) * self.time_base

    @property
    def end(self) -> Fraction:
        """Seconds from the first frame of the video, exclusive."""
        return (self.end_pts - self.first_pts) * self.time_base

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return dataclasses.asdict(self) | {"time_base": _pair(self.time_base)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Shot":
        """Reads what `to_json` wrote."""
        return cls(**{**fields, "time_base": rate_of(fields["time_base"], "time_base")})


@dataclass(frozen=True)
class Span:
    """A part of a video that becomes a clip: `num_frames` at a constant rate, frame i at `start + i / fps` seconds.

    Its length is `num_frames / fps`, while `start_pts` and `end_pts` are rounded to the video's `time_base`.
    """

    start: Fraction
    num_frames: int
    fps: Fraction
    start_pts: int
    end_pts: int
    time_base: Fraction

    @property
    def end(self) -> Fraction:
        """Seconds from the first frame of the video, exclusive."""
        return self.start + self.num_frames / self.fps

    def samples(self, rate: int) -> tuple[int, int]:
        """The first sample of its sound, and the end, in a sound of the video at `rate` Hz."""
        first = round(self.start * rate)
        return first, first + round(self.num_frames / self.fps * rate)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; fractions are `[numerator, denominator]`."""
        return {name: _pair(x) if isinstance(x, Fraction) else x for name, x in vars(self).items()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Span":
        """Reads what `to_json` wrote."""
        values: dict[str, Any] = {
            name: Fraction(*x) if isinstance(x, list) else x for name, x in fields.items()
        }
        return cls(**values)


@dataclass(frozen=True)
class WindowConfig:
    """Where clips lie within a shot. All but `fps` are counted in frames at that rate.

    Attributes:
      num_frames: length of a clip.
      fps: frames per second of the clips; None: the video's average rate.
      stride: from one clip's start to the next; less than `num_frames` makes them overlap.
      margin: left out beside a cut, which may be found a frame off, and encoders blend frames across it.
      fade_margin: left out beside black and dissolves, whose ends are found within some frames.
      skip: left out at the start of the video.
    """

    num_frames: int = 49
    fps: Fraction | None = Fraction(24)
    stride: int = 49
    margin: int = 1
    fade_margin: int = 4
    skip: int = 0

    def __post_init__(self):
        leasts = {"num_frames": 1, "stride": 1, "margin": 0, "fade_margin": 0, "skip": 0}
        for name, least in leasts.items():
            if getattr(self, name) < least:
                raise UserError(f"{name} {getattr(self, name)}: must be at least {least}")
        if self.fps is not None and self.fps <= 0:
            raise UserError(f"fps {self.fps}: must be positive")


def window(shot: Shot, number: int, config: WindowConfig, rate: Fraction) -> Span:
    """The span `number` of a shot, by the shot's beginning; it may reach over the shot's end."""
    fps = rate if config.fps is None else config.fps
    begin = max(shot.start + _margin(shot.begins, config) / fps, config.skip / fps)
    return _span(shot, begin + number * config.stride / fps, config.num_frames, fps)


def fits(span: Span, shot: Shot, config: WindowConfig) -> bool:
    """Whether a span of a shot ends before the shot does, and may become a clip."""
    end = shot.end - _margin(shot.ends, config) / span.fps + ROUNDING_SECONDS
    return not shot.transition and span.end <= end


def _margin(edge: Edge, config: WindowConfig) -> int:
    return {"film": 0, "cut": config.margin}.get(edge, config.fade_margin)


def _span(shot: Shot, start: Fraction, num_frames: int, fps: Fraction) -> Span:
    stamps = [shot.first_pts + round(t / shot.time_base) for t in (start, start + num_frames / fps)]
    return Span(start, num_frames, fps, stamps[0], stamps[1], shot.time_base)


def _pair(value: Fraction) -> list[int]:
    return [value.numerator, value.denominator]
