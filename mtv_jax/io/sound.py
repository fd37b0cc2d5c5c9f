"""An open sound file: decodes its main stream and gives each piece's position in time."""

import contextlib
import itertools
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags2
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.sidedata.sidedata import Type

from mtv_jax.io.errors import UserError
from mtv_jax.io.film import open_film
from mtv_jax.io.headers import lacks_ogg_end
from mtv_jax.io.notes import note
from mtv_jax.io.streams import TimeLine, declared_seconds, fraction, main_stream, side_data, video_streams
from mtv_jax.names import TRACK_RATE

Piece = tuple[int, np.ndarray]
"""Index of the first sample, relative to the start of reading, and samples [s, channels]."""

_GAP_SECONDS = 0.01
"""A time stamp this far from the running sample count is a gap; smaller differences are rounding (Matroska: 1 ms)."""
_LONGEST_GAP_SECONDS = 3600
_CUT_SECONDS = 0.1
"""A file counts as truncated if its sound ends this much before its header's length; encoders pad by less."""
_PREROLL_SECONDS = Fraction(1, 2)
"""Decoded before the position sought, since transforms overlap."""
_SEEKABLE = frozenset({"mov", "mp4", "matroska", "webm"})
"""Containers with correct time stamps after a seek; others (raw AAC estimates by bit rate) are read from the start."""
_RATES = (1000, 1_000_000)
_MAX_CHANNELS = 64
_LOUDEST = 100.0
"""Limits of a file: sample rates in Hz, channels, and amplitude (40 dB over full scale)."""
_MAX_PLANES = 7
"""PyAV miscounts the planes of a frame with 8 or more."""
_MAGIC = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
}
_SOUND_MAGIC = (b"RIFF", b"RF64", b"riff", b"FORM", b"caff", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3")
_UNKNOWN = "of an unknown format"


@contextlib.contextmanager
def open_sound(path: Path) -> Iterator["Sound"]:
    """Opens a sound file or a video with sound. Raises UserError on failure, as do the methods of `Sound`."""
    try:
        container = av.open(os.fspath(path))
    except (FFmpegError, OSError, ValueError) as error:
        if _looks_like_sound(path):
            reason = f"damaged or truncated: its sound cannot be read ({getattr(error, 'strerror', error)})"
            raise UserError(f"{path}: {reason}") from error
        raise UserError(f"{path}: not a sound file: {_kind(path)}") from error
    with container:
        stream = main_stream(container.streams.audio)
        if stream is None:
            kind = _kind(path)
            if container.streams.video and kind == _UNKNOWN and "tty" not in container.format.name:
                raise UserError(f"{path}: a video without a sound track; give a file that has sound")
            raise UserError(f"{path}: not a sound file: {kind}")
        if stream.codec_context is None:
            raise UserError(f"{path}: sound of a codec that cannot be read")
        yield Sound(path, container, stream)


class Sound:
    """The samples of a file's main sound stream, read once, from the beginning or from a given time."""

    def __init__(self, path: Path, container: InputContainer, stream: av.AudioStream):
        self.path, self._container, self._stream = path, container, stream
        self.codec = stream.codec_context.name
        self.rate, self.channels, self.layout = (
            stream.rate or 0,
            stream.channels or 0,
            stream.codec_context.layout,
        )
        if self.rate:
            self._check_kind()
        self._declared = declared_seconds(path, container, stream)
        self._length: int | None = None
        if self.codec == "vorbis" and container.format.name == "ogg":
            self._take_all()
        self._decoded = _decode(path, container, stream)
        first = next(self._decoded, None)
        self._first = [] if first is None else [first]
        if first is not None:  # decoders are more reliable than headers (AAC with spectral band replication)
            self.rate, self.channels, self.layout = first.sample_rate, first.layout.nb_channels, first.layout
            self._check_kind()
        elif not self.rate:  # FLAC of no samples
            self.rate, self.channels, self.layout = TRACK_RATE, 1, av.AudioLayout("mono")
        self._start = self._header_start() if first is None or first.pts is None else _stamp(first)
        if first is not None and self._length is not None:
            self._start += Fraction(_skipped(first), self.rate)
        self._origin = self._zero()

    def pieces(self, start: float = 0.0, duration: float | None = None) -> Iterator[Piece]:
        """Decodes by time stamps, so that gaps are kept and edit lists shift the sound as in a player.

        The first piece may begin before `start` (seconds) and the last one end after `duration`. Damaged or missing
        sound is reported on stderr. Raises UserError for samples that are not finite or far over full scale.
        """
        begin = self._origin + Fraction(start)
        frames = itertools.chain(self._first, self._decoded)
        if start > 0 and self._can_seek():
            self._container.seek(int((begin - _PREROLL_SECONDS) * av.time_base))
            frames = _decode(self.path, self._container, self._stream)
        cursor, line, rest = None, TimeLine(self._container), Fraction(0)
        for frame in frames:
            samples = self._samples(frame)
            cursor = self._position(frame, begin, cursor, line)
            if self._length is not None:
                samples = samples[: max(self._length - cursor - round((begin - self._start) * self.rate), 0)]
            if cursor + len(samples) > 0:
                yield cursor, samples
            cursor += len(samples)
            if duration is not None and cursor >= round(duration * self.rate):
                rest = self._end_of_packets()
                break
        self._note_if_truncated(max(Fraction(cursor or 0, self.rate) + begin - self._start, rest))

    @property
    def names(self) -> list[str]:
        """FFmpeg's names of the channel positions."""
        return [channel.name for channel in self.layout.channels]

    def _position(self, frame: av.AudioFrame, begin: Fraction, cursor: int | None, line: TimeLine) -> int:
        """Index of a frame's first sample from `begin`: the running count, unless its time stamp shows a gap."""
        if frame.pts is None:
            return cursor or 0
        # Floats are exact to a millionth of a sample, and faster than fractions for this many frames.
        seconds = frame.pts * float(fraction(frame.time_base)) - float(begin)
        seconds += float(line.shift(seconds, (cursor or 0) / self.rate))
        stamped = round(seconds * self.rate)
        if cursor is None:
            return stamped
        if stamped - cursor > _LONGEST_GAP_SECONDS * self.rate:
            raise UserError(
                f"{self.path}: its time stamps jump by {(stamped - cursor) / self.rate:.0f} s; remux it"
            )
        return stamped if abs(stamped - cursor) > _GAP_SECONDS * self.rate else cursor

    def _samples(self, frame: av.AudioFrame) -> np.ndarray:
        """Converts a frame of any sample format, packed or planar, to float32 [s, channels] in +-1."""
        channels = frame.layout.nb_channels
        if frame.format.is_planar and channels > _MAX_PLANES:
            frame = av.AudioResampler(format=frame.format.packed.name).resample(frame)[0]
        samples = frame.to_ndarray()
        samples = samples.T if frame.format.is_planar else samples.reshape(-1, channels)
        if (frame.sample_rate, channels) != (self.rate, self.channels):
            raise UserError(
                f"{self.path}: its sound changes from {self.channels} channels at {self.rate} Hz to {channels} at "
                f"{frame.sample_rate} Hz after {frame.time or 0:.2f} s; convert it to one format"
            )
        if samples.dtype == np.uint8:
            return (samples.astype(np.float32) - 128) / 128
        if np.issubdtype(samples.dtype, np.integer):
            return samples.astype(np.float32) / np.float32(2 ** (8 * samples.dtype.itemsize - 1))
        self._check_levels(samples)
        return samples.astype(np.float32)

    def _check_levels(self, samples: np.ndarray) -> None:
        peak = float(np.abs(samples).max(initial=0))
        if not math.isfinite(peak):
            raise UserError(
                f"{self.path}: holds samples that are not finite (NaN or infinity); export it again"
            )
        if peak > _LOUDEST:
            raise UserError(
                f"{self.path}: holds samples of {peak:.3g}, where full scale is 1; scale it down and export it again"
            )

    def _check_kind(self) -> None:
        low, high = _RATES
        if not low <= self.rate <= high:
            raise UserError(
                f"{self.path}: a sample rate of {self.rate} Hz; {low} to {high} are read; resample it"
            )
        if not 1 <= self.channels <= _MAX_CHANNELS:
            raise UserError(
                f"{self.path}: {self.channels} channels; 1 to {_MAX_CHANNELS} are read; mix it down"
            )

    def _take_all(self) -> None:
        """Trims Ogg Vorbis here: FFmpeg wrongly cuts as much off the end as it skips at the beginning."""
        self._stream.codec_context.flags2 |= Flags2.skip_manual
        self._length = None if self._declared is None else round(self._declared * self.rate)

    def _can_seek(self) -> bool:
        return bool(_SEEKABLE & set(self._container.format.name.split(","))) or self.codec.startswith("pcm_")

    def _zero(self) -> Fraction:
        """Time 0 in seconds of the container's clock: the first video frame, else the first sample."""
        if main_stream(video_streams(self._container)) is not None:
            try:
                with open_film(self.path) as film:
                    return film.zero
            except UserError:  # undecodable pictures; the sound may still be usable
                pass
        return self._start

    def _header_start(self) -> Fraction:
        stamp = self._stream.start_time
        return Fraction(0) if stamp is None else stamp * fraction(self._stream.time_base)

    def _end_of_packets(self) -> Fraction:
        """End of the packets that are not decoded, in seconds from the first sample.

        Videos are not read to the end for this, since reading their frames detects truncation.
        """
        end = Fraction(0)
        if video_streams(self._container):
            return self._declared or end
        with contextlib.suppress(FFmpegError, OSError):
            for packet in self._container.demux(self._stream):
                if packet.pts is not None:
                    end = (packet.pts + (packet.duration or 0)) * fraction(packet.time_base) - self._start
        return end

    def _note_if_truncated(self, there: Fraction) -> None:
        """Logs a note if the header's length exceeds the seconds that are there."""
        if lacks_ogg_end(self.path):
            note(f"{self.path}: its sound is truncated: no end mark after {float(there):.2f} s")
        elif self._declared is not None and self._declared - there > _CUT_SECONDS:
            note(
                f"{self.path}: its sound is truncated: its header says {float(self._declared):.2f} s, "
                f"{float(there):.2f} s are there"
            )


def _decode(path: Path, container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Decoded frames; undecodable packets are skipped, with a note if sound follows them.

    No method of `Sound`, which has this iterator: see `mtv_jax.io.film`.
    """
    count, damaged, noted = 0, 0, False
    try:
        for packet in container.demux(stream):
            try:
                frames = stream.codec_context.decode(packet)
            except InvalidDataError:
                damaged += 1
                continue
            for frame in frames:
                if damaged and count and not noted:
                    noted = True
                    note(f"{path}: its sound is damaged at {frame.time or 0:.2f} s; that part is skipped")
                count += 1
                yield frame
    except (FFmpegError, OSError) as error:
        if not count:
            raise UserError(f"{path}: damaged: its sound cannot be decoded ({error.strerror})") from error
        note(f"{path}: damaged: its sound cannot be read to the end ({error.strerror})")
    if damaged and not count:
        raise UserError(f"{path}: damaged: none of its sound can be decoded")


def _stamp(frame: av.AudioFrame) -> Fraction:
    """Start of a frame that has a time stamp, in seconds of the container's clock."""
    return (frame.pts or 0) * fraction(frame.time_base)


def _skipped(frame: av.AudioFrame) -> int:
    """Samples to drop at the beginning of a frame (the decoder's delay)."""
    data = side_data(frame, Type.SKIP_SAMPLES)
    return 0 if data is None else int.from_bytes(data[:4], "little")


def _looks_like_sound(path: Path) -> bool:
    """Whether a file begins like a sound or video file."""
    with open(path, "rb") as file:
        head = file.read(12)
    return head.startswith(_SOUND_MAGIC) or head[4:8] == b"ftyp"


def _kind(path: Path) -> str:
    """Description of a file that is not sound."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        return "empty (0 bytes)"
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    try:
        head[:-4].decode("utf-8")  # the last character may be incomplete
    except UnicodeDecodeError:
        return _UNKNOWN
    return _UNKNOWN if b"\x00" in head else "a text file"
