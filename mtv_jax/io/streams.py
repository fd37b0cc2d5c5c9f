"""Which stream of a media file is meant, and what its header says, by PyAV."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition

from mtv_jax.io.headers import has_mp3_header, missing_bytes

Stream = TypeVar("Stream", av.VideoStream, av.AudioStream)

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_NOT_THE_MAIN = (
    Disposition.comment
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.clean_effects
    | Disposition.dub
    | Disposition.lyrics
    | Disposition.karaoke
    | Disposition.dependent
)
"""A commentary, a version for some of the listeners or a part of another stream: taken if there is nothing else."""

_KINDS_WITH_LENGTHS = frozenset(
    {"mov", "mp4", "matroska", "webm", "avi", "asf", "flv", "gif", "apng"}
    | {"wav", "w64", "flac", "aiff", "au", "caf", "mp3", "ogg"}
)
_BROADCAST = frozenset({"mpegts", "mpeg"})
_JUMP_SECONDS = 10
_BACK_SECONDS = 0.5
_BROADCAST_CLOCK = 90_000
_ENDLESS = 1 << 62
"""Of ticks: no length, but what a stream that was not closed says."""


def video_streams(container: InputContainer) -> list[av.VideoStream]:
    """The video streams, without cover art and thumbnails."""
    return [s for s in container.streams.video if not s.disposition & _PICTURES]


def main_stream(streams: Sequence[Stream]) -> Stream | None:
    """The stream that a player shows: not a commentary, else the default, else the first; None if there is none.

    A stream that cannot be decoded is taken only if all are so.
    """

    def order(stream: Stream) -> tuple[bool, bool, bool, int]:
        flags = stream.disposition
        return (
            stream.codec_context is None,
            bool(flags & _NOT_THE_MAIN),
            not flags & Disposition.default,
            stream.index,
        )

    return min(streams, key=order, default=None)


def declared_seconds(
    path: Path, container: InputContainer, stream: av.VideoStream | av.AudioStream
) -> Fraction | None:
    """The stream's length by its header, in seconds; None if the header says nothing.

    For kinds without one FFmpeg gives an estimate by bit rate, which counts as nothing here.
    """
    kinds = set(container.format.name.split(","))
    if not kinds & _KINDS_WITH_LENGTHS or ("mp3" in kinds and not has_mp3_header(path)):
        return None
    start = 0 if stream.start_time is None else stream.start_time * fraction(stream.time_base)
    if stream.duration is not None and 0 < stream.duration < _ENDLESS and stream.time_base is not None:
        return stream.duration * fraction(stream.time_base) + _cut_off(path, stream)
    length = _matroska_length(stream.metadata.get("DURATION", ""))
    if length is None and len(container.streams) == 1 and container.duration:
        length = Fraction(container.duration, av.time_base)
    return None if length is None else max(length - start, Fraction(0))


class TimeLine:
    """Time stamps made to go on where a broadcast's begin anew: at a jump of over 10 s (as for ffmpeg), or back.

    Other kinds of files mean the times that they say.
    """

    def __init__(self, container: InputContainer):
        self._jumps = bool(_BROADCAST & set(container.format.name.split(",")))
        self._shift = Fraction(0)
        self._begun = False

    def shift(self, begin: float, expected: float) -> Fraction:
        """Seconds to add to what is stamped `begin`, what came before having ended at `expected` (seconds)."""
        if self._jumps:
            jump = begin + float(self._shift) - expected
            if self._begun and not -_BACK_SECONDS <= jump <= _JUMP_SECONDS:
                self._shift -= Fraction(jump).limit_denominator(_BROADCAST_CLOCK)
            self._begun = True
        return self._shift


def side_data(frame: av.VideoFrame | av.AudioFrame, kind: Type) -> bytes | None:
    """What a frame carries of a kind, if it does."""
    try:
        data = frame.side_data.get(kind)
    except ValueError:  # PyAV 18 fails on all of a frame where FFmpeg 8.1 gave it EXIF
        return None
    return None if data is None else bytes(data)


def fraction(value) -> Fraction:
    """PyAV's own rational (19 and up) or a Fraction, as a Fraction."""
    return Fraction(value.numerator, value.denominator)


def _cut_off(path: Path, stream: av.VideoStream | av.AudioStream) -> Fraction:
    """Seconds of sound that FFmpeg leaves out of a length, because the file ends before."""
    rate = stream.codec_context.bit_rate if isinstance(stream, av.AudioStream) else None
    return Fraction(missing_bytes(path) * 8, rate) if rate else Fraction(0)


def _matroska_length(text: str) -> Fraction | None:
    """Seconds of "00:00:10.416000000", what Matroska tells of a stream's end."""
    try:
        hours, minutes, seconds = text.split(":")
        return Fraction(hours) * 3600 + Fraction(minutes) * 60 + Fraction(seconds)
    except ValueError:
        return None
