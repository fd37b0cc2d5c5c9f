"""Selects the main stream of a media file and reads its header, with PyAV."""

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
"""Commentary, accessible versions and parts of other streams: selected only if there is nothing else."""

_KINDS_WITH_LENGTHS = frozenset(
    {"mov", "mp4", "matroska", "webm", "avi", "asf", "flv", "gif", "apng"}
    | {"wav", "w64", "flac", "aiff", "au", "caf", "mp3", "ogg"}
)
_BROADCAST = frozenset({"mpegts", "mpeg"})
_JUMP_SECONDS = 10
_BACK_SECONDS = 0.5
_BROADCAST_CLOCK = 90_000
_ENDLESS = 1 << 62
"""Ticks from which on a length is a placeholder of a stream that was not closed."""


def video_streams(container: InputContainer) -> list[av.VideoStream]:
    """The video streams, without cover art and thumbnails."""
    return [s for s in container.streams.video if not s.disposition & _PICTURES]


def main_stream(streams: Sequence[Stream]) -> Stream | None:
    """The stream that a player selects: not a commentary, else the default, else the first; None if there is none.

    An undecodable stream is selected only if all are.
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
    """The stream's duration in its header, in seconds; None if there is none.

    For formats without one FFmpeg estimates it from the bit rate; the estimate is not used.
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
    """Makes the time stamps of broadcasts continuous where they jump by over 10 s (as in ffmpeg) or backwards.

    The time stamps of other formats are used unchanged.
    """

    def __init__(self, container: InputContainer):
        self._jumps = bool(_BROADCAST & set(container.format.name.split(",")))
        self._shift = Fraction(0)
        self._begun = False

    def shift(self, begin: float, expected: float) -> Fraction:
        """Seconds to add to the time stamp `begin`, given that the previous frame ended at `expected` (seconds)."""
        if self._jumps:
            jump = begin + float(self._shift) - expected
            if self._begun and not -_BACK_SECONDS <= jump <= _JUMP_SECONDS:
                self._shift -= Fraction(jump).limit_denominator(_BROADCAST_CLOCK)
            self._begun = True
        return self._shift


def side_data(frame: av.VideoFrame | av.AudioFrame, kind: Type) -> bytes | None:
    """A frame's side data of the given type, or None."""
    try:
        data = frame.side_data.get(kind)
    except ValueError:  # PyAV 18 fails on all side data of a frame to which FFmpeg 8.1 added EXIF
        return None
    return None if data is None else bytes(data)


def fraction(value) -> Fraction:
    """Converts PyAV's own rational (19 and up) or a Fraction to a Fraction."""
    return Fraction(value.numerator, value.denominator)


def _cut_off(path: Path, stream: av.VideoStream | av.AudioStream) -> Fraction:
    """Seconds that FFmpeg subtracts from a declared length because the file ends earlier."""
    rate = stream.codec_context.bit_rate if isinstance(stream, av.AudioStream) else None
    return Fraction(missing_bytes(path) * 8, rate) if rate else Fraction(0)


def _matroska_length(text: str) -> Fraction | None:
    """Parses "00:00:10.416000000", Matroska's tag for the end of a stream, to seconds."""
    try:
        hours, minutes, seconds = text.split(":")
        return Fraction(hours) * 3600 + Fraction(minutes) * 60 + Fraction(seconds)
    except ValueError:
        return None
