"""The decoded sound of a film: decoded once, into a file of which the stages of a film read parts.

Decoders that have sought give other noise (AAC), so parts are not decoded from the film.
"""

import dataclasses
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from mtv_jax.io.channels import to_stereo
from mtv_jax.io.files import atomic_directory, disk_errors, existing_file, read_json_object, write_json
from mtv_jax.io.sound import Piece, open_sound
from mtv_jax.typing import Float

_FOLDER, _SAMPLES, _ABOUT = ".sound", "sound.w64", "sound.json"  # wav ends at 4 GB


@dataclass(frozen=True)
class Soundtrack:
    """The sound of a film.

    Attributes:
      path: float32 samples as w64, from the first frame of the picture on; gaps are silent.
      rate: Hz.
      positions: FFmpeg's name of each channel's position.
      length: number of samples.
      gaps: [first, end) of samples that the film does not have.
    """

    path: Path
    rate: int
    positions: tuple[str, ...]
    length: int
    gaps: tuple[tuple[int, int], ...]

    def read(self, first: int, end: int) -> Float[np.ndarray, "s c"]:
        """Samples [first, end), fewer if the sound ends before."""
        count = max(min(end, self.length) - first, 0)
        if not count:
            return np.zeros((0, len(self.positions)), np.float32)
        samples, _ = soundfile.read(self.path, count, first, dtype="float32", always_2d=True)
        return samples

    def clip(self, first: int, end: int) -> tuple[Float[np.ndarray, "s c"], int]:
        """Samples [first, end) in at most two channels, silent where there are none; how many there are not."""
        found = self.read(first, end)
        samples = np.zeros((end - first, len(self.positions)), np.float32)
        samples[: len(found)] = found
        missing = len(samples) - len(found)
        missing += sum(max(min(end, last) - max(first, begin), 0) for begin, last in self.gaps)
        return samples if len(self.positions) <= 2 else to_stereo(samples, list(self.positions)), missing


def soundtrack(film: str | os.PathLike, folder: Path) -> Soundtrack:
    """The sound of a film, decoded unless its folder has it; `remove_soundtrack` removes it.

    Raises UserError if the film has no sound or one that cannot be decoded.
    """
    path = existing_file(film)
    if not (folder / _FOLDER / _ABOUT).exists():
        with disk_errors(folder, folder / _FOLDER), atomic_directory(folder / _FOLDER) as temporary:
            _decode(path, temporary)
    about = read_json_object(folder / _FOLDER / _ABOUT)
    gaps = tuple((first, end) for first, end in about["gaps"])
    return Soundtrack(
        folder / _FOLDER / _SAMPLES, about["rate"], tuple(about["positions"]), about["length"], gaps
    )


def remove_soundtrack(folder: Path) -> None:
    """Removes the decoded sound of a film, if there is one."""
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)


def _decode(film: Path, folder: Path) -> None:
    with open_sound(film) as sound:
        with soundfile.SoundFile(folder / _SAMPLES, "w", sound.rate, sound.channels, "FLOAT") as file:
            length, gaps = _write(sound.pieces(), file)
        found = Soundtrack(folder / _SAMPLES, sound.rate, tuple(sound.names), length, tuple(gaps))
    about = dataclasses.asdict(found)
    del about["path"]
    write_json(folder / _ABOUT, about)


def _write(pieces: Iterable[Piece], file: soundfile.SoundFile) -> tuple[int, list[tuple[int, int]]]:
    """Writes pieces at their positions; the number of samples, and the gaps."""
    written, gaps = 0, []
    for position, samples in pieces:
        if position > written:
            gaps.append((written, position))
            file.write(np.zeros((position - written, file.channels), np.float32))
            written = position
        rest = samples[written - position :]
        file.write(rest)
        written += len(rest)
    return written, gaps
