"""Cuts a video into clips while its shots are found: an mp4 of a constant rate without sound, and the sound as FLAC.

Pictures are decoded once, and so is the sound. Frames are encoded as soon as the detector of shots is sure of them, and
the clip is given up if a change of shot turns out to lie in it. Memory is bounded: frames are kept while a clip may
still begin there, which are those of which the detector is not sure yet (about 50, at most about 120), and those of
overlaps.
"""

import contextlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from mtv_jax.curation.shots import ChangeDetector, Shot, Span, WindowConfig, window
from mtv_jax.curation.soundtrack import Soundtrack
from mtv_jax.curation.stages import CLIP, MIX
from mtv_jax.curation.stream import ShotStream
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import Unreadable
from mtv_jax.io.files import existing_file
from mtv_jax.io.film import ROUNDING_SECONDS, Film, open_film
from mtv_jax.io.video import write_video
from mtv_jax.typing import UInt8

_COMMENT = "Cut from a video by mtv_jax"
_PRESET = "veryfast"
"""Of x264: files as large as those of `medium` at the same quality factor, in half the time."""
_LARGE = 2
"""A decoded frame so many times larger than a picture of a clip is converted at once, and not kept."""


@dataclass(frozen=True)
class Cut:
    """What a video was cut into.

    Attributes:
      shots: all of it, in order.
      clips: each clip's span, and what its files hold, as JSON values: `start`, `end` (seconds in the video) and `fps`
        as exact fractions ("49/24"), `num_frames`, `height`, `width`; with sound `sample_rate`, `channels`, `samples`
        and `missing_sound`, the seconds of the clip for which the video has no sound.
    """

    shots: list[Shot]
    clips: list[tuple[Span, dict[str, Any]]]


def cut_clips(
    path: str | os.PathLike,
    detector: ChangeDetector,
    config: WindowConfig,
    folder: Callable[[Span], Path],
    *,
    short_side: int = 720,
    sound: Callable[[], Soundtrack] | None = None,
) -> Cut:
    """Finds the shots of a video and writes `clip.mp4` and `mix.flac` of each window of them (`shots.windows`).

    Pictures are upright and in square pixels, with even sides. Both files are written atomically, read again and
    checked. The same span gives the same bytes, whichever other spans are cut.

    Args:
      path: a video.
      detector: finds its changes of shot.
      config: where clips lie within a shot.
      folder: where the files of a span are written.
      short_side: pixels to which the shorter side is scaled down, if it is longer.
      sound: gives the video's sound, called if there is a clip; clips have at most two channels (others are mixed to
        stereo). None: no sound is written.

    Raises:
      Unreadable: the video is damaged, or its picture changes its shape. Clips before that place are written.
    """
    with open_film(existing_file(path)) as film:
        reel = _Reel(film, detector, config, short_side)
        clips = [
            (span, about | (_write_sound(sound(), span, folder(span)) if sound else {}))
            for span, about in reel.clips(folder)
        ]
        return Cut(reel.stream.shots, clips)


def clip_size(shown: tuple[int, int], short_side: int) -> tuple[int, int]:
    """(height, width) of a clip: scaled down to the short side, if that is longer, and rounded to even numbers."""
    scale = min(Fraction(short_side, min(shown)), Fraction(1))
    height, width = (max(2 * round(side * scale / 2), 2) for side in shown)
    return height, width


class _AbandonedError(Exception):
    """A change of shot lies in the clip that is written."""


@dataclass
class _Held:
    """A frame, shown from `begin` to `end` (seconds): as decoded, until its pixels are needed."""

    begin: Fraction
    end: Fraction
    frame: av.VideoFrame | None
    pixels: np.ndarray | None = None


class _Reel:
    """A film that is read once: its shots, and the frames that clips may still show."""

    def __init__(self, film: Film, detector: ChangeDetector, config: WindowConfig, short_side: int):
        self._film, self._config = film, config
        self.stream = ShotStream(film, detector)
        self._size = clip_size(film.display.size, short_side)
        self._coming = film.shown()
        self._held: deque[_Held] = deque()
        self._first = 0
        """The number of the first frame that is held."""
        self._number = 0
        """Of the shot that is cut."""
        self._wanted: Fraction | None = Fraction(0)
        """Its clips to come begin here or later; None: there are none."""

    def clips(self, folder: Callable[[Span], Path]) -> Iterator[tuple[Span, dict[str, Any]]]:
        """Writes the clips of all shots, and yields what their pictures are."""
        for number in itertools.count():
            self._number = number
            while (shot := self.stream.shot(number)) is None:
                if not self._read():
                    return
            for index in itertools.count():
                span = window(shot, index, self._config, self._film.rate)
                following = window(shot, index + 1, self._config, self._film.rate).start
                if not self._write(span, following, folder(span)):
                    break
                yield span, self._about(span)
            self._wanted = None
            while len(self.stream.shots) <= number and self._read():
                pass

    def _write(self, span: Span, following: Fraction, folder: Path) -> bool:
        """Writes the pictures of a span, unless it turns out to reach over the end of its shot."""
        self._wanted = span.start
        if self._holds(span) is False:
            return False
        frames = self._frames(span, following)
        try:
            write_video(folder / CLIP, frames, span.fps, preset=_PRESET, comment=_COMMENT, threads=1)
        except _AbandonedError:
            with contextlib.suppress(OSError):  # there, but not empty: of another run
                folder.rmdir()
            return False
        _check(folder / CLIP, span)
        return True

    def _about(self, span: Span) -> dict[str, Any]:
        height, width = self._size
        times = {"start": str(span.start), "end": str(span.end), "fps": str(span.fps)}
        return {**times, "num_frames": span.num_frames, "height": height, "width": width}

    def _frames(self, span: Span, following: Fraction) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The frames of a span; the next one begins at `following`.

        Raises _AbandonedError as soon as it is known that the span is no clip, at the latest after its last frame.
        """
        slack = self._slack(span)
        place = self._first
        for index in range(span.num_frames):
            time = span.start + index / span.fps + slack
            self._wanted = min(following, time)
            while (held := self._at(place)) is None or held.end <= time:
                if held is not None:
                    place += 1
                elif not self._read():
                    self._check_end(span)
            while (holds := self._holds(span)) is None and self.stream.settled <= place:
                self._read()
            if holds is False:
                raise _AbandonedError
            yield self._pixels(held)
        self._wanted = following
        while (holds := self._holds(span)) is None:
            self._read()
        if not holds:
            raise _AbandonedError

    def _read(self) -> bool:
        """Decodes the next frame, and forgets those that no clip shows; whether there was one."""
        if self.stream.ended:
            return False
        found = next(self._coming, None)
        if found is None:
            self.stream.finish()
            return False
        begin, end, frame = found
        self.stream.put(begin, end, frame)
        self._held.append(self._kept(begin, end, frame))
        later = self.stream.later(self._number)
        while self._held and self._first < later and self._is_past(self._held[0]):
            self._held.popleft()
            self._first += 1
        return True

    def _is_past(self, held: _Held) -> bool:
        return self._wanted is None or held.end <= self._wanted

    def _kept(self, begin: Fraction, end: Fraction, frame: av.VideoFrame) -> _Held:
        height, width = self._size
        stored = sum(plane.buffer_size for plane in frame.planes)
        if stored <= _LARGE * 3 * height * width:
            return _Held(begin, end, frame)
        return _Held(begin, end, None, self._film.display.show(frame, float(begin), self._size))

    def _at(self, place: int) -> _Held | None:
        """The frame of this number; the first one that is held, if that is a later one. None if it is not there yet."""
        index = max(place - self._first, 0)
        return self._held[index] if index < len(self._held) else None

    def _holds(self, span: Span) -> bool | None:
        return self.stream.holds(self._number, span, self._config)

    def _check_end(self, span: Span) -> None:
        """Says that the film has ended within a span."""
        if self._holds(span) is False:
            raise _AbandonedError
        raise Unreadable("truncated", f"{self._film.path}: ends within a clip at {float(span.start):.2f} s")

    def _slack(self, span: Span) -> Fraction:
        """Seconds by which a frame may be late, as in `mtv_jax.io.video.iter_frames`."""
        return min(max(self._film.time_base, ROUNDING_SECONDS), 1 / (8 * max(span.fps, self._film.rate)))

    def _pixels(self, held: _Held) -> np.ndarray:
        if held.pixels is None:
            assert held.frame is not None
            held.pixels = self._film.display.show(held.frame, float(held.begin), self._size)
            held.frame = None
        return held.pixels


def _write_sound(sound: Soundtrack, span: Span, folder: Path) -> dict[str, Any]:
    """Writes the sound of a span and says what it is."""
    samples, missing = sound.clip(*span.samples(sound.rate))
    write_audio(folder / MIX, samples, sound.rate)
    if soundfile.info(folder / MIX).frames != len(samples):
        raise Unreadable("damaged", f"{folder / MIX}: not as long as it was written")
    return {
        "sample_rate": sound.rate,
        "channels": samples.shape[1],
        "samples": len(samples),
        "missing_sound": round(missing / sound.rate, 6),
    }


def _check(video: Path, span: Span) -> None:
    """Reads the packets of a written clip. Raises Unreadable unless it is as long as its span."""
    with av.open(str(video)) as container:
        frames = sum(1 for packet in container.demux(video=0) if packet.size)
    if frames != span.num_frames:
        raise Unreadable("damaged", f"{video}: {frames} frames were written instead of {span.num_frames}")
