"""Shots of a video, found on a small decoded copy, and the windows of them that become clips.

The video is decoded once, in order, and frames are not kept, so memory does not grow with its length (eight bytes per
frame). Times are exact: those of the decoded frames.
"""

import dataclasses
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from mtv_jax.audio.separation.base import ModelCard
from mtv_jax.io.clip_size import rate_of
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file
from mtv_jax.io.film import ROUNDING_SECONDS, Film, open_film
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
class ChangeDetector(Protocol):
    """Finds changes of shot in a stream of pictures (the role `shots`)."""

    @property
    def height(self) -> int:
        """Height in pixels of the pictures that it is given; 0: as they are."""
        ...

    def card(self) -> ModelCard:
        """What it is."""
        ...

    def changes(self, frames: Iterable[np.ndarray], rate: Fraction) -> Iterator[Change]:
        """Yields changes in any order; frames are uint8 RGB [H W 3], numbered from 0, `rate` is their average."""
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


def find_shots(path: str | os.PathLike, detector: ChangeDetector) -> list[Shot]:
    """The shots of a video in order. They cover it without gaps; fades and dissolves are shots of their own.

    Raises Unreadable if the video cannot be decoded to its end, or its picture changes its shape.
    """
    with open_film(existing_file(path)) as film:
        starts, ends = array("q"), array("q", [0])
        frames = _small_frames(film, detector.height, starts, ends)
        found = list(detector.changes(frames, film.rate))
        for _ in frames:  # a detector may stop early, but the times of all frames are needed
            pass
        return _shots(found, starts, ends[0], film)


def windows(shot: Shot, config: WindowConfig, rate: Fraction) -> list[Span]:
    """The spans of a shot that become clips, none of which reaches over its ends; `rate` is the video's average."""
    fps = rate if config.fps is None else config.fps
    if shot.transition:
        return []
    begin = max(shot.start + _margin(shot.begins, config) / fps, config.skip / fps)
    room = shot.end - _margin(shot.ends, config) / fps - begin + ROUNDING_SECONDS
    count = (int(room * fps) - config.num_frames) // config.stride + 1
    return [_span(shot, begin + k * config.stride / fps, config.num_frames, fps) for k in range(count)]


def _small_frames(
    film: Film, height: int, starts: array, ends: array
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Displayed frames, scaled down to a height. Their times are added to `starts`, the last end is in `ends[0]`."""
    size = _size(film.display.size, height)
    for begin, end, frame in film.timed():
        starts.append(round(begin / film.time_base))
        ends[0] = round(end / film.time_base)
        yield film.display.show(frame, float(begin), size)


def _size(shown: tuple[int, int], height: int) -> tuple[int, int]:
    """Size of a picture scaled down to a height, or as it is."""
    if not 0 < height < shown[0]:
        return shown
    return height, max(round(shown[1] * height / shown[0]), 1)


def _shots(found: Sequence[Change], starts: array, end: int, film: Film) -> list[Shot]:
    edges: list[tuple[int, Edge, bool]] = [(0, "film", False)]
    for change in _without_overlaps(found):
        _add_edge(edges, change.frame, change.kind, change.kind != "cut")
        if change.frame < change.end < len(starts):
            _add_edge(edges, change.end, change.kind, False)
    times = [*(starts[frame] for frame, _, _ in edges), end]
    kinds: list[Edge] = [*(kind for _, kind, _ in edges), "film"]
    return [
        Shot(
            start_pts=film.start_pts + times[k],
            end_pts=film.start_pts + times[k + 1],
            time_base=film.time_base,
            first_pts=film.start_pts,
            begins=kinds[k],
            ends=kinds[k + 1],
            transition=transition,
        )
        for k, (_, _, transition) in enumerate(edges)
    ]


def _without_overlaps(found: Sequence[Change]) -> list[Change]:
    """Changes in order, with overlapping transitions as one, and without cuts inside of a transition.

    A cut at the first or last frame of black stays: the picture was cut to black or from it.
    """
    spans: list[Change] = []
    for change in sorted((x for x in found if x.kind != "cut"), key=lambda x: x.frame):
        last = spans[-1] if spans else None
        if last is None or change.frame > last.end:
            spans.append(change)
        else:
            kind = "fade" if "fade" in (last.kind, change.kind) else "dissolve"
            spans[-1] = Change(last.frame, kind, max(last.end, change.end))
    cuts = [x for x in found if x.kind == "cut"]
    cuts = [x for x in cuts if not any(span.frame < x.frame < span.end for span in spans)]
    # At the same frame the cut comes first: it is what the shot begins with.
    return sorted([*cuts, *spans], key=lambda x: (x.frame, x.kind != "cut"))


def _add_edge(edges: list[tuple[int, Edge, bool]], frame: int, kind: Edge, transition: bool) -> None:
    """Adds an edge, or changes the last one if it is at the same frame. A cut there is what is seen."""
    last, begins, before = edges[-1]
    if frame > last:
        edges.append((frame, kind, transition))
    else:
        edges[-1] = (last, "cut" if kind == "cut" and last > 0 else begins, transition or before)


def _margin(edge: Edge, config: WindowConfig) -> int:
    return {"film": 0, "cut": config.margin}.get(edge, config.fade_margin)


def _span(shot: Shot, start: Fraction, num_frames: int, fps: Fraction) -> Span:
    stamps = [shot.first_pts + round(t / shot.time_base) for t in (start, start + num_frames / fps)]
    return Span(start, num_frames, fps, stamps[0], stamps[1], shot.time_base)


def _pair(value: Fraction) -> list[int]:
    return [value.numerator, value.denominator]
