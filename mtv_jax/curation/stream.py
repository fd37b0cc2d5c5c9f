"""Shots of a video as they become known, while it is decoded once.

Frames are not kept, so memory does not grow with the video's length, but for eight bytes a frame.
"""

import dataclasses
import os
from array import array
from collections.abc import Iterable, Sequence
from fractions import Fraction

import av

from mtv_jax.curation.shots import Change, ChangeDetector, Edge, Shot, Span, WindowConfig, fits
from mtv_jax.io.display import Display
from mtv_jax.io.files import existing_file
from mtv_jax.io.film import ROUNDING_SECONDS, Film, open_film


class ShotStream:
    """The shots of a film, whose frames are given in order.

    Attributes:
      shots: those whose both ends are known, in order. They cover the film without gaps; fades and dissolves are shots
        of their own.
      ended: whether the film has ended, so that `shots` has all.
      settled: no further change of shot begins before this frame.
    """

    def __init__(self, film: Film, detector: ChangeDetector):
        self._film = film
        self._finder = detector.begin(film.rate)
        self._display = Display(film.path, film.stream, film.first)  # a converter for one size is faster
        self._size = _size(film.display.size, detector.height)
        self._starts, self._end = array("q"), 0
        self._changes: list[Change] = []
        self._edge: tuple[int, Edge, bool] = (0, "film", False)
        self._begins = array("q", [0])
        """The first frame of each shot, and of the open one."""
        self._unused = 0
        self.settled = 0
        self.shots: list[Shot] = []
        self.ended = False

    def put(self, begin: Fraction, end: Fraction, frame: av.VideoFrame) -> None:
        """Gives the next frame, shown from `begin` to `end` (seconds). Raises Unreadable if its shape has changed."""
        self._starts.append(round(begin / self._film.time_base))
        self._end = round(end / self._film.time_base)
        self._changes += self._finder.put(self._display.show(frame, float(begin), self._size))
        self._advance(min(self._finder.settled, len(self._starts)), self._finder.lasting)

    def finish(self) -> None:
        """The film has ended."""
        self._changes += self._finder.end()
        self._advance(len(self._starts) + 1, ())
        start, begins, transition = self._edge
        self.shots.append(self._shot(start, self._end, begins, "film", transition))
        self.ended = True

    def shot(self, number: int) -> Shot | None:
        """A shot, of which only the beginning is certain if it is not among `shots`; None if that is not known yet."""
        if number < len(self.shots):
            return self.shots[number]
        if self.ended or not self._starts:
            return None
        start, begins, transition = self._edge
        return self._shot(start, self._end, begins, "film", transition)

    def later(self, number: int) -> int:
        """The first frame that shots after this one may have, of those that are not all black or mixed."""
        return self._begins[number + 1] if number + 1 < len(self._begins) else self._unused

    def holds(self, number: int, span: Span, config: WindowConfig) -> bool | None:
        """Whether a span that begins in a shot may become a clip (`fits`); None: not known yet."""
        if number < len(self.shots):
            return fits(span, self.shots[number], config)
        if self._edge[2]:
            return False
        margins = (config.margin, config.fade_margin)
        if span.end + max(margins) / span.fps <= self._seconds(self.settled):
            return True
        latest = span.end + min(margins) / span.fps - ROUNDING_SECONDS
        known = (*self._changes, *self._finder.lasting)
        return False if any(self._seconds(change.frame) < latest for change in known) else None

    def _advance(self, settled: int, lasting: Sequence[Change]) -> None:
        """Takes the changes that are certain: none that begins before `settled` is missing."""
        self.settled = self._unused = settled
        for change in without_overlaps([*self._changes, *lasting]):
            if change.end >= settled:  # one that begins where a transition ends belongs to it
                if change.frame < change.end and change.frame <= settled:
                    self.settled, self._unused = change.frame, change.end
                return
            self._add_edge(change.frame, change.kind, change.kind != "cut")
            if change.frame < change.end < len(self._starts):
                self._add_edge(change.end, change.kind, False)
            self._changes = [x for x in self._changes if not _is_part(x, change)]

    def _add_edge(self, frame: int, kind: Edge, transition: bool) -> None:
        """Ends the open shot, or changes its beginning if it is at the same frame. A cut there is what is seen."""
        start, begins, before = self._edge
        if frame > start:
            self.shots.append(self._shot(start, self._starts[frame], begins, kind, before))
            self._edge = (frame, kind, transition)
            self._begins.append(frame)
            return
        if kind == "cut" and start > 0:
            begins = kind
            self.shots[-1] = dataclasses.replace(self.shots[-1], ends=kind)
        self._edge = (start, begins, transition or before)

    def _shot(self, start: int, end: int, begins: Edge, ends: Edge, transition: bool) -> Shot:
        """The shot from a frame to a time, in time bases."""
        first = self._film.start_pts
        return Shot(
            first + self._starts[start], first + end, self._film.time_base, first, begins, ends, transition
        )

    def _seconds(self, frame: int) -> Fraction:
        """When a frame is shown, or the end of what is there."""
        time = self._starts[frame] if frame < len(self._starts) else self._end
        return time * self._film.time_base


def find_shots(path: str | os.PathLike, detector: ChangeDetector) -> list[Shot]:
    """The shots of a video.

    Raises Unreadable if the video cannot be decoded to its end, or its picture changes its shape.
    """
    with open_film(existing_file(path)) as film:
        stream = ShotStream(film, detector)
        for timed in film.shown():
            stream.put(*timed)
        stream.finish()
        return stream.shots


def without_overlaps(found: Iterable[Change]) -> list[Change]:
    """Changes in order, with overlapping transitions as one, and without cuts inside of a transition.

    A cut at the first or last frame of black stays: the picture was cut to black or from it.
    """
    spans: list[Change] = []
    cuts: list[Change] = []
    for change in sorted(found, key=lambda x: x.frame):
        last = spans[-1] if spans else None
        if change.kind == "cut":
            cuts.append(change)
        elif last is None or change.frame > last.end:
            spans.append(change)
        else:
            kind = "fade" if "fade" in (last.kind, change.kind) else "dissolve"
            spans[-1] = Change(last.frame, kind, max(last.end, change.end))
    cuts = [x for x in cuts if not any(span.frame < x.frame < span.end for span in spans)]
    # At the same frame the cut comes first: it is what the shot begins with.
    return sorted([*cuts, *spans], key=lambda x: (x.frame, x.kind != "cut"))


def _is_part(change: Change, taken: Change) -> bool:
    """Whether a change is in one that was taken, of `without_overlaps`."""
    if taken.kind == "cut":
        return change == taken
    return taken.frame <= change.frame < taken.end


def _size(shown: tuple[int, int], height: int) -> tuple[int, int]:
    """Size of a picture scaled down to a height, or as it is."""
    if not 0 < height < shown[0]:
        return shown
    return height, max(round(shown[1] * height / shown[0]), 1)
