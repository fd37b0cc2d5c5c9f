"""Sound files: read any common kind at its true time, resample, write."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, existing_file, told_of
from mtv_jax.io.video import probe

_SOUNDFILE_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"}
)
_SUBTYPES = {".wav": "FLOAT", ".flac": "PCM_24", ".ogg": "VORBIS", ".mp3": "MPEG_LAYER_III"}
_GAP_SECONDS = 0.01
"""A time stamp this far from the running sample count is a gap; nearer, it is rounding (Matroska: 1 ms)."""
_PREROLL_SECONDS = 0.5
"""Decoders need some packets before the one sought, for overlapping transforms."""
_SEEKABLE = frozenset({"mov", "mp4", "matroska", "webm"})
"""Containers whose stamps are right after a seek; others (raw AAC: guessed by bit rate) are read through."""
_MAGIC = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
}


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """What a file says of its sound. `duration` is in seconds, `codec` as the decoder names it."""

    sample_rate: int
    channels: int
    duration: float
    codec: str


def read_audio(
    path: str | os.PathLike,
    sample_rate: int | None = 16000,
    *,
    mono: bool = True,
    start: float = 0.0,
    duration: float | None = None,
) -> np.ndarray:
    """Reads the sound of wav, flac, ogg, mp3, m4a, mp4 and whatever else FFmpeg decodes.

    Time 0 is the first video frame where the file has a video, else the first sample: sound that starts
    late is padded with zeros and sound that starts early is trimmed, as time stamps and edit lists say.

    Args:
      path: a sound file, or a video with sound.
      sample_rate: samples a second of the result (resampled by soxr); None keeps the file's own.
      mono: mean of left and right (more channels are mixed down to stereo first, ITU-R BS.775).
      start: seconds to skip.
      duration: at most so many seconds; a shorter file gives what it has. None: to the end.

    Returns:
      float32 [s], or [s, channels] if not `mono`; full scale is +-1.

    Raises:
      UserError: missing, unreadable, not sound, without a sound track, empty, damaged, or not finite.
    """
    path = existing_file(path)
    samples, rate = _read_source(path, start, duration)
    if not len(samples):
        raise UserError(f"{path}: no sound{f' after {start:g} s' if start else ' (zero length)'}")
    if not np.isfinite(samples).all():
        raise UserError(f"{path}: holds samples that are not finite (NaN or infinity); export it again")
    if mono:
        samples = to_stereo(samples).mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    return resample(samples, rate, sample_rate or rate)


def resample(samples: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Resamples [s] or [s, channels] along time by soxr: float32, round(s * target / source) samples."""
    samples = np.ascontiguousarray(samples, np.float32)
    if source_rate == target_rate:
        return samples
    length = max(1, round(Fraction(len(samples) * target_rate, source_rate)))
    return fit_length(soxr.resample(samples, source_rate, target_rate), length)


def fit_length(samples: np.ndarray, length: int) -> np.ndarray:
    """Cuts [s, ...] or pads it with zeros at the end to `length` samples."""
    missing = length - len(samples)
    if missing <= 0:
        return samples[:length]
    return np.pad(samples, [(0, missing)] + [(0, 0)] * (samples.ndim - 1))


def to_stereo(samples: np.ndarray) -> np.ndarray:
    """Mixes [s, channels] to [s, 2]: mono twice, 5.1 by ITU-R BS.775 (no LFE), else the mean of all."""
    channels = samples.shape[1]
    if channels == 2:
        return samples
    if channels == 6:
        left, right, centre, _, left_back, right_back = samples.T
        half = np.float32(np.sqrt(0.5))
        return np.stack([left + half * (centre + left_back), right + half * (centre + right_back)], axis=1)
    return np.repeat(samples.mean(axis=1, keepdims=True), 2, axis=1)


def write_audio(path: str | os.PathLike, samples: np.ndarray, sample_rate: int) -> None:
    """Writes [s] or [s, channels] to wav (float32), flac (24 bit), ogg or mp3, by suffix, atomically.

    All but wav clip at full scale. Raises UserError for another suffix.
    """
    subtype = _SUBTYPES.get(Path(path).suffix.lower())
    if subtype is None:
        raise UserError(f"{path}: sound is written as {', '.join(sorted(_SUBTYPES))}; name one of these")
    with atomic_path(path) as temporary:
        soundfile.write(temporary, samples, sample_rate, subtype=subtype)


@contextlib.contextmanager
def readable_in_parts(path: str | os.PathLike, folder: str | os.PathLike) -> Iterator[Path]:
    """A file whose parts, read one by one, are exactly the parts of the whole.

    That is `path` itself for kinds that libsndfile reads; else a temporary float32 copy in `folder`, decoded
    in one go, because AAC decoders fill in noise that differs after every seek.
    Raises UserError as `read_audio`.
    """
    path = existing_file(path)
    if path.suffix.lower() in _SOUNDFILE_SUFFIXES:
        yield path
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".decoded-") as temporary:
        copy = Path(temporary) / "sound.w64"  # wav ends at 4 GB
        with told_of(folder, copy):
            _decode_to(copy, path)
        yield copy


def _decode_to(target: Path, path: Path) -> None:
    file, written = None, 0
    with contextlib.ExitStack() as stack:
        for position, samples, rate in _decode_pieces(path, 0.0, None):
            channels = samples.shape[1]
            if file is None:
                file = stack.enter_context(soundfile.SoundFile(target, "w", rate, channels, "FLOAT"))
            gap = max(position - written, 0)
            samples = samples[max(written - position, 0) :]
            file.write(np.concatenate([np.zeros((gap, channels), np.float32), samples]))
            written += gap + len(samples)
    if file is None:
        raise UserError(f"{path}: no sound (zero length)")


def audio_info(path: str | os.PathLike) -> AudioInfo:
    """Sample rate, channels and length of a file, not decoded. Raises UserError as `read_audio` does."""
    path = existing_file(path)
    if path.suffix.lower() in _SOUNDFILE_SUFFIXES:
        try:
            info = soundfile.info(path)
            return AudioInfo(info.samplerate, info.channels, info.frames / info.samplerate, info.subtype)
        except soundfile.LibsndfileError:
            pass
    with _open(path) as container:
        stream = _sound_stream(container, path)
        if stream.duration is not None:
            end = _start(stream) + stream.duration * _time_base(stream)
            duration = end - _origin(container, stream, path)
        else:
            duration = Fraction(container.duration or 0, av.time_base)
        return AudioInfo(stream.rate, stream.channels, float(duration), stream.codec_context.name)


def _read_source(path: Path, start: float, duration: float | None) -> tuple[np.ndarray, int]:
    if path.suffix.lower() in _SOUNDFILE_SUFFIXES:
        try:
            return _read_soundfile(path, start, duration)
        except soundfile.LibsndfileError:
            pass  # FFmpeg knows more kinds, and why a file is none of them
    return _read_ffmpeg(path, start, duration)


def _read_soundfile(path: Path, start: float, duration: float | None) -> tuple[np.ndarray, int]:
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        first = round(start * rate)
        if first >= file.frames:
            return np.zeros((0, file.channels), np.float32), rate
        file.seek(first)
        count = -1 if duration is None else round(duration * rate)
        return file.read(count, dtype="float32", always_2d=True), rate


def _read_ffmpeg(path: Path, start: float, duration: float | None) -> tuple[np.ndarray, int]:
    decoded = list(_decode_pieces(path, start, duration))
    if not decoded:
        return np.zeros((0, 1), np.float32), 1
    pieces = [(position, samples) for position, samples, _ in decoded]
    rate, channels = decoded[0][2], decoded[0][1].shape[1]
    return _assemble(pieces, channels, None if duration is None else round(duration * rate)), rate


def _decode_pieces(path: Path, start: float, duration: float | None) -> Iterator[tuple[int, np.ndarray, int]]:
    """Decodes by time stamps, so that gaps stay gaps and an edit list moves the sound as a player would.

    Yields:
      (sample index from `start`, may be negative in the first piece; samples [s, channels]; sample rate).
    """
    rate, channels, cursor = 0, 0, None
    with _open(path) as container:
        stream = _sound_stream(container, path)
        begin = _origin(container, stream, path) + Fraction(start)
        if start > 0 and _SEEKABLE & set(container.format.name.split(",")):
            container.seek(int((begin - Fraction(_PREROLL_SECONDS)) * av.time_base))
        for frame in _frames(container, stream, path):
            samples = _frame_samples(frame)
            rate, channels = rate or frame.sample_rate, channels or samples.shape[1]
            if (frame.sample_rate, samples.shape[1]) != (rate, channels):
                raise UserError(f"{path}: sample rate or channels change midway; convert it to one format")
            cursor = _position(frame, begin, rate, cursor)
            if cursor + len(samples) > 0:
                yield cursor, samples, rate
            cursor += len(samples)
            if duration is not None and cursor >= round(duration * rate):
                return


def _position(frame: av.AudioFrame, begin: Fraction, rate: int, cursor: int | None) -> int:
    """Index of a frame's first sample from `begin`: the running count unless its stamp tells of a gap."""
    if frame.pts is None:
        return cursor or 0
    stamped = round((frame.pts * _time_base(frame) - begin) * rate)
    if cursor is None or abs(stamped - cursor) > _GAP_SECONDS * rate:
        return stamped
    return cursor


def _assemble(pieces: list[tuple[int, np.ndarray]], channels: int, limit: int | None) -> np.ndarray:
    length = max((position + len(samples) for position, samples in pieces), default=0)
    if limit is not None:
        length = min(length, limit)
    result = np.zeros((max(length, 0), channels), np.float32)
    for position, samples in pieces:
        skip = max(-position, 0)
        target = result[position + skip : position + len(samples)]
        target[:] = samples[skip : skip + len(target)]
    return result


def _frame_samples(frame: av.AudioFrame) -> np.ndarray:
    """float32 [s, channels] in +-1 of a frame of any sample format, packed or planar."""
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    return samples.astype(np.float32)


def _frames(container: InputContainer, stream: av.AudioStream, path: Path) -> Iterator[av.AudioFrame]:
    seconds = 0.0
    try:
        for frame in container.decode(stream):
            seconds = frame.time or seconds
            yield frame
    except FFmpegError as error:
        raise UserError(f"{path}: damaged: sound cannot be decoded past {seconds:.2f} s ({error})") from error


def _open(path: Path) -> InputContainer:
    try:
        return av.open(os.fspath(path))
    except FFmpegError as error:
        raise UserError(f"{path}: not a sound file: {_kind(path)}") from error


def _sound_stream(container: InputContainer, path: Path) -> av.AudioStream:
    if container.streams.audio:
        return container.streams.audio[0]
    kind = _kind(path)
    if container.streams.video and kind == _UNKNOWN and "tty" not in container.format.name:
        raise UserError(f"{path}: a video without a sound track; give a file that has sound")
    raise UserError(f"{path}: not a sound file: {kind}")


def _origin(container: InputContainer, stream: av.AudioStream, path: Path) -> Fraction:
    """Seconds, in the container's time, that count as 0: the first video frame, else the first sample."""
    for video in container.streams.video:
        if not video.disposition & Disposition.attached_pic:
            try:
                info = probe(path)
            except UserError:  # pictures that cannot be decoded; the sound may still be good
                return _start(video)
            return info.start_pts * info.time_base
    return _start(stream)


def _start(stream: av.AudioStream | av.VideoStream) -> Fraction:
    return Fraction(0) if stream.start_time is None else stream.start_time * _time_base(stream)


def _time_base(timed: av.AudioStream | av.VideoStream | av.AudioFrame) -> Fraction:
    """As a Fraction: PyAV 19 has a rational of its own."""
    if timed.time_base is None:
        return Fraction(1, av.time_base)
    return Fraction(timed.time_base.numerator, timed.time_base.denominator)


_UNKNOWN = "of no known format"


def _kind(path: Path) -> str:
    """What a file that is not sound seems to be."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        return "empty (0 bytes)"
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    try:
        head[:-4].decode("utf-8")  # the last character may be cut
    except UnicodeDecodeError:
        return _UNKNOWN
    return _UNKNOWN if b"\x00" in head else "a text file"
