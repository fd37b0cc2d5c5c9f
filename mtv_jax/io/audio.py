"""Sound files: read any common format with correct timing, resample, write."""

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
from mtv_jax.io.files import atomic_path, disk_errors, existing_file
from mtv_jax.io.notes import note
from mtv_jax.io.sound import Piece, Sound, open_sound
from mtv_jax.names import TRACK_RATE

_SUBTYPES = {".wav": "FLOAT", ".flac": "PCM_24", ".ogg": "VORBIS", ".mp3": "MPEG_LAYER_III"}


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """Contents of a file. `duration` is in seconds, from decoded samples; `codec` is the decoder's name for it."""

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
    """Reads the sound of wav, flac, ogg, mp3, m4a, mp4 and any other file that FFmpeg decodes.

    Of several streams the one that a player selects is read: the default, not a commentary. Time 0 is the first
    video frame if the file has a video, else the first sample. Following time stamps and edit lists, sound that
    starts late is padded with zeros and sound that starts early is trimmed. Lengths are counted from decoded samples;
    a file that ends before the length in its header is read to its end, with a note on stderr.

    Args:
      path: a sound file, or a video with sound.
      sample_rate: sample rate of the result in Hz (resampled by soxr); None keeps the file's.
      mono: whether to mix down to one channel, by channel position (`mtv_jax.io.channels`). The right side is
        inverted, with a note on stderr, where the two sides have opposite phase and would cancel.
      start: seconds to skip.
      duration: maximum length in seconds; the result may be shorter. None: to the end.

    Returns:
      float32 [s], or [s, channels] if not `mono`; full scale is +-1.

    Raises:
      UserError: the file is missing, unreadable, not sound, without a sound track, empty or damaged, has an
        unsupported sample rate or number of channels, or samples that are not finite or over 100 times full scale.
    """
    recording = _read(existing_file(path), start, duration)
    if mono:
        return recording.mono(sample_rate)
    return resample(recording.samples, recording.sample_rate, sample_rate or recording.sample_rate)


@dataclasses.dataclass(frozen=True)
class Recording:
    """The decoded sound of a file, which may be used repeatedly.

    Attributes:
      path: the file.
      samples: float32 [s, channels], full scale is +-1.
      positions: FFmpeg's name of each channel's position.
      sample_rate: Hz.
      duration: seconds of the whole file, of which `samples` may be a part (`read_recording`).
    """

    path: Path
    samples: np.ndarray
    positions: list[str]
    sample_rate: int
    duration: float

    def first(self, seconds: float | Fraction) -> "Recording":
        """At most so many seconds of its beginning."""
        return dataclasses.replace(self, samples=self.samples[: num_samples(seconds, self.sample_rate)])

    def mono(self, sample_rate: int | None = None) -> np.ndarray:
        """float32 [s] at `sample_rate` (None: the file's), mixed down by channel position.

        The right side is inverted, with a warning, where the two sides have opposite phase and would cancel.
        """
        samples, turned = to_mono(self.samples, self.positions)
        if turned:
            note(
                f"{self.path}: its sides cancel each other out (opposite phase); inverted: {', '.join(turned)}"
            )
        return resample(samples, self.sample_rate, sample_rate or self.sample_rate)

    def stereo(self, sample_rate: int) -> np.ndarray:
        """float32 [s, 2] at `sample_rate`, mixed to stereo by the channel layout."""
        return resample(to_stereo(self.samples, self.positions), self.sample_rate, sample_rate)


def read_recording(
    path: str | os.PathLike, *, keep: float | Fraction | None = None, empty: bool = False
) -> Recording:
    """Decodes a file once, like `read_audio`.

    Only the first `keep` seconds stay in memory; the rest is decoded to measure the length. Raises UserError
    like `read_audio`, but, if `empty`, not for a sound of no samples.
    """
    return _read(existing_file(path), 0.0, None, keep=keep, empty=empty)


def read_stereo(path: str | os.PathLike, sample_rate: int) -> np.ndarray:
    """Reads a file like `read_audio`, mixed to stereo by its channel layout: float32 [s, 2]."""
    return _read(existing_file(path), 0.0, None).stereo(sample_rate)


def resample(samples: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Resamples [s] or [s, channels] along time with soxr: float32, round(s * target / source) samples."""
    samples = np.ascontiguousarray(samples, np.float32)
    if source_rate == target_rate:
        return samples
    length = max(1, round(Fraction(len(samples) * target_rate, source_rate)))
    return fit_length(soxr.resample(samples, source_rate, target_rate), length)


def num_samples(seconds: float | Fraction, sample_rate: int) -> int:
    """Number of samples of so many seconds, to the nearest one; exact for a Fraction, whatever the frame rate."""
    return round(Fraction(seconds) * sample_rate)


def fit_length(samples: np.ndarray, length: int) -> np.ndarray:
    """Trims [s, ...] to `length` samples, or pads it with zeros at the end."""
    missing = length - len(samples)
    if missing <= 0:
        return samples[:length]
    return np.pad(samples, [(0, missing)] + [(0, 0)] * (samples.ndim - 1))


def write_audio(path: str | os.PathLike, samples: np.ndarray, sample_rate: int) -> None:
    """Writes [s] or [s, channels] atomically as wav (float32), flac (24 bit), ogg or mp3, by suffix.

    All formats but wav clip at full scale. Raises UserError for any other suffix.
    """
    subtype = _SUBTYPES.get(Path(path).suffix.lower())
    if subtype is None:
        raise UserError(f"{path}: sound is written as {', '.join(sorted(_SUBTYPES))}; name one of these")
    with atomic_path(path) as temporary:
        soundfile.write(temporary, samples, sample_rate, subtype=subtype)


@contextlib.contextmanager
def readable_in_parts(path: str | os.PathLike, folder: str | os.PathLike) -> Iterator[Path]:
    """A temporary float32 copy of a sound in `folder` that can be read piece by piece with exact results.

    The file is decoded in one pass, because decoders generate noise that differs after each seek (AAC), or seek to
    positions estimated from headers (MP3). Raises UserError like `read_audio`.
    """
    path = existing_file(path)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".decoded-") as temporary:
        copy = Path(temporary) / "sound.w64"  # wav ends at 4 GB
        with open_sound(path) as sound, disk_errors(folder, copy):
            if not _copy(sound, copy):
                raise UserError(f"{path}: no sound (zero length)")
        yield copy


def audio_info(path: str | os.PathLike) -> AudioInfo:
    """Decodes a file and returns its sample rate, channels and length. Raises UserError like `read_audio`."""
    with open_sound(existing_file(path)) as sound:
        end = max((position + len(samples) for position, samples in sound.pieces()), default=0)
        return AudioInfo(sound.rate, sound.channels, end / sound.rate, sound.codec)


def _read(
    path: Path,
    start: float,
    duration: float | None,
    *,
    keep: float | Fraction | None = None,
    empty: bool = False,
) -> Recording:
    """Reads a part of a file, of which at most the first `keep` seconds are kept."""
    with open_sound(path) as sound:
        limit = None if duration is None else round(duration * sound.rate)
        most = None if keep is None else num_samples(keep, sound.rate)
        pieces, end = [], 0
        for position, samples in sound.pieces(start, duration):
            end = max(end, position + len(samples))
            if most is None or position < most:
                pieces.append((position, samples))
        end = end if limit is None else min(end, limit)
        samples = _assemble(pieces, sound.channels, end if most is None else min(end, most))
        if not len(samples) and not empty:
            raise UserError(f"{path}: no sound{f' after {start:g} s' if start else ' (zero length)'}")
        return Recording(path, samples, sound.names, sound.rate, end / sound.rate)


def _copy(sound: Sound, target: Path) -> int:
    """Writes a whole sound and returns the number of samples."""
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
