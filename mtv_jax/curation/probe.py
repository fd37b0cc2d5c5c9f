"""What a video file holds, from its header, its first frames and the times of its packets; nothing else is decoded.

Errors that only decoding shows (a picture that changes its shape, damage within) are raised by `curation.clips`.
"""

import dataclasses
import itertools
import os
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from mtv_jax.io.display import is_mirrored
from mtv_jax.io.errors import Unreadable
from mtv_jax.io.files import existing_file, sha256
from mtv_jax.io.film import ROUNDING_SECONDS, Film, open_container, open_film
from mtv_jax.io.streams import TimeLine, fraction, main_stream, video_streams
from mtv_jax.io.tone import transfer_name

_FIRST_FRAMES = 8
"""Frames decoded to tell interlaced pictures, which many files flag in their frames only."""


@dataclass(frozen=True)
class Picture:
    """The main video stream. Times are in `time_base` seconds, sizes in pixels.

    Attributes:
      codec, pixel_format: FFmpeg's names.
      width, height: as stored.
      sample_aspect: width of a stored pixel, its height being 1.
      shown_width, shown_height: as displayed, upright and in square pixels.
      rotation, mirrored: of the display matrix; degrees.
      interlaced: whether one of the first frames is.
      transfer: `sdr`, or how the light of high dynamic range is encoded.
      start_pts, end_pts: of the first frame, and the end of the last one.
      rate: frames per second on average.
      variable_rate: whether frames are unequally long, by more than time stamps are rounded.
      shortest, longest: seconds from a frame to the next.
      packets: number of packets, one per frame.
    """

    codec: str
    pixel_format: str
    width: int
    height: int
    sample_aspect: Fraction
    shown_width: int
    shown_height: int
    rotation: int
    mirrored: bool
    interlaced: bool
    transfer: Literal["sdr", "pq", "hlg"]
    time_base: Fraction
    start_pts: int
    end_pts: int
    rate: Fraction
    variable_rate: bool
    shortest: Fraction
    longest: Fraction
    packets: int

    @property
    def seconds(self) -> Fraction:
        """Duration."""
        return (self.end_pts - self.start_pts) * self.time_base


@dataclass(frozen=True)
class Sound:
    """The main audio stream. `start` and `end` are seconds from the first video frame, by packets (not samples)."""

    codec: str
    sample_rate: int
    channels: int
    start: Fraction
    end: Fraction


@dataclass(frozen=True)
class Probe:
    """A video file: its content's SHA-256, size in bytes, FFmpeg's names of the container, and streams."""

    sha256: str
    size: int
    container: str
    picture: Picture
    sound: Sound | None

    @property
    def sound_excess(self) -> Fraction | None:
        """Seconds that the sound ends after the picture (negative: before it); None without sound."""
        return None if self.sound is None else self.sound.end - self.picture.seconds

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; fractions are `[numerator, denominator]`."""
        return _to_json(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Probe":
        """Reads what `to_json` wrote."""
        sound = fields["sound"]
        return cls(
            **{
                **fields,
                "picture": Picture(**_from_json(fields["picture"])),
                "sound": None if sound is None else Sound(**_from_json(sound)),
            }
        )


@dataclass(frozen=True)
class ProbeConfig:
    """Which videos are rejected before any of their frames is used.

    Attributes:
      needs_sound: reject those without sound. Tracks are what clips are made for.
      max_length_difference: seconds by which sound and picture may end apart. If one is much longer, a part of the
        other is missing, and where is unknown, so no clip is surely in sync.
    """

    needs_sound: bool = True
    max_length_difference: float = 2.0


def probe(path: str | os.PathLike, digest: str | None = None) -> Probe:
    """Reads the properties of a video. `digest` is the file's SHA-256, if it is known; else the file is hashed.

    Raises:
      Unreadable: the file is empty, not a video, truncated or damaged, has no picture or a single frame, or its
        codec, size or aspect ratio is not supported.
      UserError: no such file, or not readable.
    """
    path = existing_file(path)
    with open_film(path) as film:
        first = list(itertools.islice(film.stored(), _FIRST_FRAMES))
        with open_container(path) as container:
            times = _Times(path, container, film)
        return Probe(
            sha256=digest or sha256(path),
            size=path.stat().st_size,
            container=film.container.format.name,
            picture=_picture(film, first, times),
            sound=times.sound(film),
        )


def unfit(probe: Probe, config: ProbeConfig) -> Unreadable | None:
    """The error for a video that can be read and is rejected by the config; None if it is not rejected."""
    excess = probe.sound_excess
    if excess is None and config.needs_sound:
        return Unreadable("no_sound", "no sound track; give a file that has sound")
    if excess is not None and abs(excess) > config.max_length_difference:
        longer = "longer" if excess > 0 else "shorter"
        message = f"the sound is {abs(float(excess)):.2f} s {longer} than the picture; remux it"
        return Unreadable("lengths_differ", message)
    return None


def _picture(film: Film, first: list[av.VideoFrame], times: "_Times") -> Picture:
    frame, context = film.first, film.stream.codec_context
    height, width = film.display.size
    shortest, longest = times.gaps()
    return Picture(
        codec=context.name,
        pixel_format=frame.format.name,
        width=frame.width,
        height=frame.height,
        sample_aspect=film.display.sample_aspect,
        shown_width=width,
        shown_height=height,
        rotation=frame.rotation,
        mirrored=is_mirrored(frame),
        interlaced=any(frame.interlaced_frame for frame in first),
        transfer=transfer_name(frame.color_trc),
        time_base=film.time_base,
        start_pts=film.start_pts,
        end_pts=film.start_pts + times.end,
        rate=film.rate,
        variable_rate=longest - shortest > ROUNDING_SECONDS + film.time_base,
        shortest=shortest,
        longest=longest,
        packets=times.packets,
    )


class _Times:
    """Times of the packets of a file's main streams, read without decoding. Eight bytes per packet are kept."""

    def __init__(self, path: Path, container: InputContainer, film: Film):
        self._film, self._path = film, path
        self._stamps = array("q")
        self.end = 0
        """End of the last frame, in time bases from the first one."""
        self._speaker = main_stream(container.streams.audio)
        self._heard: list[Fraction] = []
        picture = main_stream(video_streams(container))
        assert picture is not None  # the film has one
        streams = [picture] if self._speaker is None else [picture, self._speaker]
        line = TimeLine(container)
        for packet in self._demux(container, streams):
            if packet.stream_index == picture.index:
                self._add_picture(packet, line)
            else:
                self._add_sound(packet)
        self._check()

    @property
    def packets(self) -> int:
        """Packets of the video stream."""
        return len(self._stamps)

    def gaps(self) -> tuple[Fraction, Fraction]:
        """The shortest and the longest time between frames, in seconds."""
        gaps = np.diff(np.sort(np.frombuffer(self._stamps, np.int64)))
        return int(gaps.min()) * self._film.time_base, int(gaps.max()) * self._film.time_base

    def sound(self, film: Film) -> Sound | None:
        """The sound, if there is any."""
        if self._speaker is None or not self._heard or self._speaker.codec_context is None:
            return None
        return Sound(
            codec=self._speaker.codec_context.name,
            sample_rate=self._speaker.rate or 0,
            channels=self._speaker.channels or 0,
            start=self._heard[0] - film.zero,
            end=self._heard[1] - film.zero,
        )

    def _demux(self, container: InputContainer, streams: list[Any]):
        try:
            yield from (
                packet for packet in container.demux(streams) if packet.size and not packet.is_discard
            )
        except (FFmpegError, OSError) as error:
            message = f"{self._path}: damaged or truncated ({error.strerror}), after {self.packets} frames"
            raise Unreadable("damaged", message) from error

    def _add_picture(self, packet: av.Packet, line: TimeLine) -> None:
        film = self._film
        stamp = film.stamp(packet)
        if stamp is None:
            begin = self.end
        else:
            begin = stamp - film.start_pts
            shift = line.shift(float(begin * film.time_base), float(self.end * film.time_base))
            begin += round(shift / film.time_base)
        self._stamps.append(begin)
        length = packet.duration or round(1 / film.rate / film.time_base)
        self.end = max(self.end, begin + length)

    def _add_sound(self, packet: av.Packet) -> None:
        if packet.pts is None:
            return
        base = fraction(packet.time_base)
        begin, end = packet.pts * base, (packet.pts + (packet.duration or 0)) * base
        if not self._heard:
            self._heard = [begin, end]
        self._heard = [min(self._heard[0], begin), max(self._heard[1], end)]

    def _check(self) -> None:
        """Raises Unreadable if there is one frame only, or the packets end before the length in the header."""
        if self.packets < 2:
            raise Unreadable("one_frame", f"{self._path}: a single frame, which is no video")
        self._film.check_end(self.end * self._film.time_base)


def _to_json(value: Any) -> Any:
    if isinstance(value, Fraction):
        return [value.numerator, value.denominator]
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    return value


def _from_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a stream, in which only fractions are lists."""
    return {key: Fraction(*value) if isinstance(value, list) else value for key, value in fields.items()}
