"""An open video: decodes its main stream and gives each frame's time."""

import contextlib
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError

from mtv_jax.io.display import Display, deinterlaced
from mtv_jax.io.errors import Unreadable
from mtv_jax.io.headers import begins_like_video
from mtv_jax.io.streams import TimeLine, declared_seconds, fraction, main_stream, video_streams

Timed = tuple[Fraction, Fraction, av.VideoFrame]
"""Start and end of a frame, in seconds from the first frame, and the frame."""

ROUNDING_SECONDS = Fraction(1, 1000)
"""Rounding of time stamps: Matroska stores milliseconds, which copies of it in mp4 inherit."""

_MISSING_SECONDS = 0.2
_EXACT = frozenset({"mov", "mp4", "matroska", "webm"})
_MISSING_SECONDS_OTHERS = 0.5
"""A file counts as truncated if its frames end this much before its header's duration, exact in some formats."""


def open_container(path: Path) -> InputContainer:
    """Opens a media file with FFmpeg. Raises Unreadable if that fails."""
    try:
        return av.open(str(path))
    except (FFmpegError, OSError, ValueError) as error:
        if path.stat().st_size == 0:
            detail, reason = "the file is empty", "empty"
        else:
            detail = getattr(error, "strerror", None) or str(error)
            reason = "truncated" if begins_like_video(path) else "not_a_video"
        raise Unreadable(reason, f"{path}: not a video that can be read, or truncated ({detail})") from error


@contextlib.contextmanager
def open_film(path: Path) -> Iterator["Film"]:
    """Opens a video and decodes its first frame. Raises Unreadable on failure, as do the methods of `Film`."""
    with open_container(path) as container:
        stream = main_stream(video_streams(container))
        if stream is None:
            raise Unreadable("no_picture", f"{path}: no video stream in it (only sound, or truncated)")
        if stream.codec_context is None:
            raise Unreadable("unsupported", f"{path}: truncated, or of a codec that cannot be read")
        stream.thread_type = "AUTO"
        yield Film(path, container, stream)


class Film:
    """The frames of a video's main stream, read once, from the beginning or from a given time."""

    def __init__(self, path: Path, container: InputContainer, stream: av.VideoStream):
        self.path, self.container, self.stream = path, container, stream
        self._decoder = _decoder(stream)
        self._decoded = _decode(path, container, stream, self._decoder)
        first = next(self._decoded, None)
        if first is None:
            raise Unreadable("no_picture", f"{path}: the video has no frames")
        self.first = first
        self.display = Display(path, stream, first)
        self.time_base = fraction(stream.time_base)
        self._avi = container.format.name == "avi"
        stamp = self.stamp(first)
        self.start_pts = (stream.start_time or 0) if stamp is None else stamp
        """Time stamp of the first frame, in time bases."""
        zero = stream.start_time or 0 if self._avi else self.start_pts
        self.zero = zero * self.time_base
        """Time of the first frame, in seconds of the container's clock."""
        rate = stream.average_rate or stream.guessed_rate
        self.rate = fraction(rate) if rate else Fraction(25)
        """Average frames per second according to the header."""
        self.declared = declared_seconds(path, container, stream)
        """Duration in seconds according to the header; None if it has none."""

    def stored(self) -> Iterator[av.VideoFrame]:
        """The frames as they are stored, possibly interlaced. For use before any other iteration."""
        return itertools.chain([self.first], self._decoded)

    def timed(self, start: Fraction = Fraction(0)) -> Iterator[Timed]:
        """Deinterlaced frames with their times, starting at a key frame before `start` (seconds)."""
        frames = self.stored()
        if start > 2:
            frames = self._sought(start) or frames
        usual, end = 1 / self.rate, Fraction(0)
        line = TimeLine(self.container)
        for frame in deinterlaced(frames):
            stamp = self.stamp(frame)
            begin = end if stamp is None else (stamp - self.start_pts) * self.time_base
            begin += line.shift(float(begin), float(end))
            end = begin + (frame.duration * self.time_base if frame.duration else usual)
            yield begin, end, frame
        self.check_end(end)

    def shown(self, start: Fraction = Fraction(0)) -> Iterator[Timed]:
        """Like `timed`, with the start of the next frame as the end of each but the last."""
        before: Timed | None = None
        for timed in self.timed(start):
            if before is not None:
                yield before[0], timed[0], before[2]
            before = timed
        if before is not None:
            yield before

    def check_end(self, end: Fraction) -> None:
        """Raises Unreadable if frames that end at `end` (seconds) end well before the length in the header."""
        exact = _EXACT & set(self.container.format.name.split(","))
        missing = _MISSING_SECONDS if exact else _MISSING_SECONDS_OTHERS
        if self.declared is not None and self.declared - end > max(missing, 2 / self.rate):
            raise Unreadable(
                "truncated",
                f"{self.path}: truncated or damaged: its frames end at {float(end):.2f} s, "
                f"its header says {float(self.declared):.2f} s",
            )

    def stamp(self, of: av.VideoFrame | av.Packet) -> int | None:
        """Presentation time of a frame or a packet, in time bases, for AVI that of decoding, since it has no other."""
        return of.dts if self._avi else of.pts

    def _sought(self, start: Fraction) -> Iterator[av.VideoFrame] | None:
        """Frames from a key frame at or before `start`; None if the file cannot seek."""
        origin, base = self.start_pts, self.time_base
        # A second of margin: with B frames and edit lists a key frame's time differs slightly from the index.
        for target in (origin + int((start - 1) / base), origin):
            try:
                self.container.seek(target, stream=self.stream, backward=True)
            except (FFmpegError, OSError):
                return None
            self._decoder.flush_buffers()
            decoded = _decode(self.path, self.container, self.stream, self._decoder)
            first = next(decoded, None)
            stamp = None if first is None else self.stamp(first)
            if first is not None and stamp is not None and (stamp - origin) * base <= start:
                return itertools.chain([first], decoded)
        raise Unreadable("damaged", f"{self.path}: cannot be read from {float(start):g} s (damaged index)")


def _decoder(stream: av.VideoStream) -> av.VideoCodecContext:
    """The stream's decoder; for VP8 and VP9 with alpha libvpx's, since FFmpeg's native ones drop the alpha."""
    context = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and context.codec.name in ("vp8", "vp9"):
        decoder = av.CodecContext.create(f"libvpx-{context.codec.name}".replace("libvpx-vp8", "libvpx"), "r")
        assert isinstance(decoder, av.VideoCodecContext)
        return decoder
    return context


def _decode(
    path: Path, container: InputContainer, stream: av.VideoStream, decoder: av.VideoCodecContext
) -> Iterator[av.VideoFrame]:
    """All frames. Undecodable packets before the first one are skipped, since recordings may start anywhere.

    A method would refer to its film, which has this iterator: a film that is not read to its end would then keep its
    decoder, with the threads and pictures of that, until Python looks for cycles.
    """
    count, unread = 0, None
    try:
        for packet in container.demux(stream):
            try:
                frames = decoder.decode(packet)
            except InvalidDataError as error:
                if count:
                    raise
                unread = error
                continue
            for frame in frames:
                count += 1
                yield frame
        if unread is not None and count == 0:
            raise unread
    except (FFmpegError, OSError) as error:
        message = f"{path}: damaged or truncated video ({error.strerror}), after {count} frames"
        raise Unreadable("damaged", message) from error
