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
from mtv_jax.typing import TRACK_RATE

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
    sample_rate: int | None = TRACK_RATE,
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
    path = existing_file(path)
    samples, names, rate = _read(path, start, duration)
    if mono:
        samples, turned = to_mono(samples, names)
        if turned:
            note(
                f"{path}: its sides cancel each other out (opposite phase); turned over: {', '.join(turned)}"
            )
    return resample(samples, rate, sample_rate or rate)


def read_stereo(
    path: str | os.PathLike, sample_rate: int, *, start: float = 0.0, duration: float | None = None
) -> np.ndarray:
    """Reads a file as `read_audio` does, mixed to left and right by its layout: float32 [s, 2]."""
    samples, names, rate = _read(existing_file(path), start, duration)
    return resample(to_stereo(samples, names), rate, sample_rate)


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


def _read(path: Path, start: float, duration: float | None) -> tuple[np.ndarray, list[str], int]:
    """Samples [s, channels], the names of their positions, and the rate."""
    with open_sound(path) as sound:
        limit = None if duration is None else round(duration * sound.rate)
        samples = _assemble(list(sound.pieces(start, duration)), sound.channels, limit)
        if not len(samples):
            raise UserError(f"{path}: no sound{f' after {start:g} s' if start else ' (zero length)'}")
        return samples, sound.names, sound.rate


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


def _assemble(pieces: list[Piece], channels: int, limit: int | None) -> np.ndarray:
    length = max((position + len(samples) for position, samples in pieces), default=0)
    if limit is not None:
        length = min(length, limit)
    result = np.zeros((max(length, 0), channels), np.float32)
    for position, samples in pieces:
        skip = max(-position, 0)
        target = result[position + skip : position + len(samples)]
        target[:] = samples[skip : skip + len(target)]
    return result
