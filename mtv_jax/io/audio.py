"""Sound files: read any common kind at its true time, resample, write."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import soxr

from mtv_jax.io.channels import to_mono, to_stereo
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, existing_file, told_of
from mtv_jax.io.notes import note
from mtv_jax.io.sound import Piece, Sound, open_sound

_SUBTYPES = {".wav": "FLOAT", ".flac": "PCM_24", ".ogg": "VORBIS", ".mp3": "MPEG_LAYER_III"}


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """What a file holds. `duration` is in seconds, counted; `codec` as the decoder names it."""

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

    Of several streams it is the one that a player takes: the default, no commentary. Time 0 is the first video
    frame where the file has a video, else the first sample: sound that starts late is padded with zeros and sound
    that starts early is trimmed, as time stamps and edit lists say. Lengths are counted; a file that ends before
    its header says is read as far as it goes, with a note on stderr.

    Args:
      path: a sound file, or a video with sound.
      sample_rate: samples a second of the result (resampled by soxr); None keeps the file's own.
      mono: mixed down to one channel by the positions of the file's (`mtv_jax.io.channels`). Sides of opposite
        phase, which would cancel out, are heard, with a note on stderr.
      start: seconds to skip.
      duration: at most so many seconds; a shorter file gives what it has. None: to the end.

    Returns:
      float32 [s], or [s, channels] if not `mono`; full scale is +-1.

    Raises:
      UserError: missing, unreadable, not sound, without a sound track, empty, damaged, of an absurd rate or number
        of channels, or with samples that are not finite or over 100 times full scale.
    """
    recording = _read(existing_file(path), start, duration)
    if mono:
        return recording.mono(sample_rate)
    return resample(recording.samples, recording.sample_rate, sample_rate or recording.sample_rate)


@dataclasses.dataclass(frozen=True)
class Recording:
    """The decoded sound of a file, for any number of uses.

    Attributes:
      path: of the file.
      samples: float32 [s, channels], full scale is +-1.
      positions: FFmpeg's name of the position of each channel.
      sample_rate: Hz.
      duration: seconds of the whole file, of which `samples` may be a part (`read_recording`).
    """

    path: Path
    samples: np.ndarray
    positions: list[str]
    sample_rate: int
    duration: float

    def first(self, seconds: float) -> "Recording":
        """At most so many seconds of its beginning."""
        return dataclasses.replace(self, samples=self.samples[: round(seconds * self.sample_rate)])

    def mono(self, sample_rate: int | None = None) -> np.ndarray:
        """float32 [s] at `sample_rate` (None: its own), mixed down by the positions of the channels.

        Sides of opposite phase, which would cancel out, are heard, and that is logged as a warning.
        """
        samples, turned = to_mono(self.samples, self.positions)
        if turned:
            note(
                f"{self.path}: its sides cancel each other out (opposite phase); turned over: {', '.join(turned)}"
            )
        return resample(samples, self.sample_rate, sample_rate or self.sample_rate)

    def stereo(self, sample_rate: int) -> np.ndarray:
        """float32 [s, 2] at `sample_rate`, mixed to left and right by the positions of the channels."""
        return resample(to_stereo(self.samples, self.positions), self.sample_rate, sample_rate)


def read_recording(path: str | os.PathLike, *, keep: float | None = None) -> Recording:
    """Decodes a file once, as `read_audio` does.

    Of a long one only the first `keep` seconds stay in memory; the rest is decoded to count its length. Raises
    UserError as `read_audio`.
    """
    return _read(existing_file(path), 0.0, None, keep=keep)


def read_stereo(path: str | os.PathLike, sample_rate: int) -> np.ndarray:
    """Reads a file as `read_audio` does, mixed to left and right by its layout: float32 [s, 2]."""
    return _read(existing_file(path), 0.0, None).stereo(sample_rate)


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
    """A temporary float32 copy of a sound in `folder`, whose parts, read one by one, are exactly those of the whole.

    It is decoded in one go, because decoders fill in noise that differs after every seek (AAC), and seek to places
    that headers guess (MP3). Raises UserError as `read_audio`.
    """
    path = existing_file(path)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".decoded-") as temporary:
        copy = Path(temporary) / "sound.w64"  # wav ends at 4 GB
        with open_sound(path) as sound, told_of(folder, copy):
            if not _copy(sound, copy):
                raise UserError(f"{path}: no sound (zero length)")
        yield copy


def audio_info(path: str | os.PathLike) -> AudioInfo:
    """Sample rate, channels and length of a file, which is decoded. Raises UserError as `read_audio` does."""
    with open_sound(existing_file(path)) as sound:
        end = max((position + len(samples) for position, samples in sound.pieces()), default=0)
        return AudioInfo(sound.rate, sound.channels, end / sound.rate, sound.codec)


def _read(path: Path, start: float, duration: float | None, *, keep: float | None = None) -> Recording:
    """A part of a file; of that part at most the first `keep` seconds are put together."""
    with open_sound(path) as sound:
        limit = None if duration is None else round(duration * sound.rate)
        most = None if keep is None else round(keep * sound.rate)
        pieces, end = [], 0
        for position, samples in sound.pieces(start, duration):
            end = max(end, position + len(samples))
            if most is None or position < most:
                pieces.append((position, samples))
        end = end if limit is None else min(end, limit)
        samples = _assemble(pieces, sound.channels, end if most is None else min(end, most))
        if not len(samples):
            raise UserError(f"{path}: no sound{f' after {start:g} s' if start else ' (zero length)'}")
        return Recording(path, samples, sound.names, sound.rate, end / sound.rate)


def _copy(sound: Sound, target: Path) -> int:
    """Writes all of a sound, and gives the number of samples."""
    written = 0
    with soundfile.SoundFile(target, "w", sound.rate, sound.channels, "FLOAT") as file:
        for position, samples in sound.pieces():
            gap = max(position - written, 0)
            samples = samples[max(written - position, 0) :]
            file.write(np.concatenate([np.zeros((gap, sound.channels), np.float32), samples]))
            written += gap + len(samples)
    return written


def _assemble(pieces: list[Piece], channels: int, length: int) -> np.ndarray:
    """The pieces in one array of so many samples; gaps between them are zeros."""
    result = np.zeros((max(length, 0), channels), np.float32)
    for position, samples in pieces:
        skip = max(-position, 0)
        target = result[position + skip : position + len(samples)]
        target[:] = samples[skip : skip + len(target)]
    return result
