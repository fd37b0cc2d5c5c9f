"""Cuts spans of a video into clips: an mp4 of a constant rate without sound, and the sound as FLAC.

Pictures are decoded once for all clips of a video, and so is the sound. Memory is bounded by the clips that overlap.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from mtv_jax.curation.shots import Span
from mtv_jax.curation.stages import CLIP, MIX
from mtv_jax.io.audio import write_audio
from mtv_jax.io.channels import to_stereo
from mtv_jax.io.errors import Unreadable
from mtv_jax.io.files import existing_file
from mtv_jax.io.film import ROUNDING_SECONDS, Film, Timed, open_film
from mtv_jax.io.sound import Sound, open_sound
from mtv_jax.io.video import write_video
from mtv_jax.typing import UInt8

_COMMENT = "Cut from a video by mtv_jax"
_PRESET = "veryfast"
"""Of x264: files as large as those of `medium` at the same quality factor, in half the time."""
_SEEK_SECONDS = 20
"""A gap between clips from which on seeking is faster than decoding, at the usual distances of key frames."""


def cut_clips(
    path: str | os.PathLike,
    spans: Sequence[Span],
    folders: Sequence[Path],
    *,
    short_side: int = 720,
    sound: bool = True,
) -> Iterator[dict[str, Any]]:
    """Writes `clip.mp4` and `mix.flac` of each span into its folder, and yields what they hold.

    Pictures are upright and in square pixels, with even sides. Both files are written atomically, read again and
    checked. The same span gives the same bytes, whichever other spans are cut.

    Args:
      path: a video.
      spans: in order of their starts; they may overlap.
      folders: one per span.
      short_side: pixels to which the shorter side is scaled down, if it is longer.
      sound: whether to write the sound, which has at most two channels (others are mixed to stereo).

    Yields:
      JSON values: `start`, `end` (seconds in the video) and `fps` as exact fractions ("49/24"), `num_frames`, `height`,
      `width`; with sound `sample_rate`, `channels`, `samples` and `missing_sound`, the seconds of the clip for which
      the video has no sound.

    Raises:
      Unreadable: the video is damaged, ends before a span or has no sound. Clips before that place are written.
    """
    path = existing_file(path)
    if list(spans) != sorted(spans, key=lambda span: span.start):
        raise ValueError("spans must be in order of their starts")
    if not spans:
        return
    heard = list(_cut_sound(path, spans, folders)) if sound else [{} for _ in spans]
    with open_film(path) as film:
        reel = _Reel(film, spans, short_side)
        for number, (span, folder, about) in enumerate(zip(spans, folders, heard, strict=True)):
            video = folder / CLIP
            frames = reel.frames(number)
            write_video(video, frames, span.fps, preset=_PRESET, comment=_COMMENT, threads=1)
            height, width = reel.size
            _check(video, folder / MIX if sound else None, span)
            yield {
                "start": str(span.start),
                "end": str(span.end),
                "fps": str(span.fps),
                "num_frames": span.num_frames,
                "height": height,
                "width": width,
                **about,
            }


def clip_size(shown: tuple[int, int], short_side: int) -> tuple[int, int]:
    """(height, width) of a clip: scaled down to the short side, if that is longer, and rounded to even numbers."""
    scale = min(Fraction(short_side, min(shown)), Fraction(1))
    height, width = (max(2 * round(side * scale / 2), 2) for side in shown)
    return height, width


@dataclass
class _Held:
    """A decoded frame, shown from `begin` to `end` (seconds), and its pixels once they are needed."""

    begin: Fraction
    end: Fraction
    frame: av.VideoFrame
    pixels: np.ndarray | None = None


class _Reel:
    """The frames of consecutive spans, of which those of an overlap are kept."""

    def __init__(self, film: Film, spans: Sequence[Span], short_side: int):
        self._film, self._spans = film, spans
        self.size = clip_size(film.display.size, short_side)
        """(height, width) of the clips."""
        self._held: deque[_Held] = deque()
        self._coming: Iterator[Timed] = film.shown(spans[0].start)

    def frames(self, number: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The frames of a span. Spans are asked for once, in order."""
        span = self._spans[number]
        following = self._spans[number + 1].start if number + 1 < len(self._spans) else span.end
        slack = self._slack(span)
        self._skip_to(span.start)
        place = 0
        for index in range(span.num_frames):
            time = span.start + index / span.fps + slack
            while place >= len(self._held) or self._held[place].end <= time:
                if place < len(self._held):
                    place += 1
                else:
                    self._held.append(self._next(span))
                while place and self._held[0].end <= following:
                    self._held.popleft()
                    place -= 1
            yield self._pixels(self._held[place])

    def _slack(self, span: Span) -> Fraction:
        """Seconds by which a frame may be late, as in `mtv_jax.io.video.iter_frames`."""
        return min(max(self._film.time_base, ROUNDING_SECONDS), 1 / (8 * max(span.fps, self._film.rate)))

    def _skip_to(self, start: Fraction) -> None:
        """Drops frames that end before `start`, and seeks if there is a long way to go."""
        while self._held and self._held[0].end <= start:
            end = self._held.popleft().end
            if not self._held and start - end > _SEEK_SECONDS:
                self._coming = self._film.shown(start)

    def _next(self, span: Span) -> _Held:
        found = next(self._coming, None)
        if found is None:
            raise Unreadable(
                "truncated", f"{self._film.path}: ends within a clip at {float(span.start):.2f} s"
            )
        return _Held(*found)

    def _pixels(self, held: _Held) -> np.ndarray:
        if held.pixels is None:
            held.pixels = self._film.display.show(held.frame, float(held.begin), self.size)
        return held.pixels


@dataclass
class _Part:
    """The sound of a span, [samples, channels] from sample `first` on, of which `known` samples are in the video."""

    samples: np.ndarray
    first: int
    known: int = 0

    @property
    def end(self) -> int:
        return self.first + len(self.samples)

    def add(self, position: int, piece: np.ndarray) -> None:
        """Copies what a piece from sample `position` on has of the span."""
        begin, end = max(self.first, position), min(self.end, position + len(piece))
        if begin < end:
            self.samples[begin - self.first : end - self.first] = piece[begin - position : end - position]
            self.known += end - begin


def _cut_sound(path: Path, spans: Sequence[Span], folders: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Writes the sound of each span and yields what it is. It is decoded from the beginning: decoders that have
    sought give other noise.
    """
    with open_sound(path) as sound:
        opened: deque[tuple[_Part, Path]] = deque()
        waiting = deque(zip(spans, folders, strict=True))
        for position, samples in sound.pieces():
            end = position + len(samples)
            while waiting and round(waiting[0][0].start * sound.rate) < end:
                opened.append(_open(*waiting.popleft(), sound))
            for part, _ in opened:
                part.add(position, samples)
            while opened and opened[0][0].end <= end:
                yield _written(*opened.popleft(), sound)
            if not opened and not waiting:
                return
        opened.extend(_open(span, folder, sound) for span, folder in waiting)
        for part, folder in opened:
            yield _written(part, folder, sound)


def _open(span: Span, folder: Path, sound: Sound) -> tuple[_Part, Path]:
    first, end = span.samples(sound.rate)
    return _Part(np.zeros((end - first, sound.channels), np.float32), first), folder


def _written(part: _Part, folder: Path, sound: Sound) -> dict[str, Any]:
    samples = part.samples if sound.channels <= 2 else to_stereo(part.samples, sound.names)
    write_audio(folder / MIX, samples, sound.rate)
    return {
        "sample_rate": sound.rate,
        "channels": samples.shape[1],
        "samples": len(samples),
        "missing_sound": round((len(samples) - part.known) / sound.rate, 6),
    }


def _check(video: Path, sound: Path | None, span: Span) -> None:
    """Reads the header and the packets of written files. Raises Unreadable unless they are as long as the span."""
    with av.open(str(video)) as container:
        frames = sum(1 for packet in container.demux(video=0) if packet.size)
    if frames != span.num_frames:
        raise Unreadable("damaged", f"{video}: {frames} frames were written instead of {span.num_frames}")
    if sound is None:
        return
    info = soundfile.info(sound)
    first, end = span.samples(info.samplerate)
    if info.frames != end - first:
        raise Unreadable(
            "damaged",
            f"{sound}: {info.frames / info.samplerate:.3f} s of sound for a clip of "
            f"{float(span.num_frames / span.fps):.3f} s",
        )
