"""Separates a sound file into one file per track and a report, `demix.json`.

A long file needs little memory: it is read, separated, resampled and written section by section. The report states what
the tracks were made of, so that a finished result is recognised.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from mtv_jax.audio.separation.base import STEMS, Separator, silent_levels
from mtv_jax.audio.separation.sections import num_sections, separate_sections
from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR, find_separator
from mtv_jax.io.audio import AudioInfo, audio_info, read_audio, readable_in_parts
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import (
    atomic_path,
    check_output,
    read_json_object,
    sha256,
    shown,
    staging,
    write_json,
)
from mtv_jax.io.levels import dbfs
from mtv_jax.io.progress import progress
from mtv_jax.names import TRACKS

FORMATS = {"wav": "FLOAT", "flac": "PCM_24"}
"""Kinds of file that tracks are written as, with libsndfile's name of their samples."""
REPORT = "demix.json"
PAGE = "demix.html"
"""Of all results in a folder (`mtv_jax.audio.separation.report`)."""
RESULTS = (REPORT, *(f"{name}.{kind}" for name in dict.fromkeys(TRACKS + STEMS) for kind in FORMATS))
"""Files that the folder of a separated mix may have."""

_BYTES = {"wav": 4, "flac": 3}
"""Size of a sample, at most."""
_MOST_BYTES = {"wav": 2**32 - 4096, "flac": math.inf}
"""Size of the samples of a file, at most."""
_MOST_CHANNELS = {"wav": math.inf, "flac": 8}


@dataclasses.dataclass(frozen=True)
class DemixFiles:
    """What to make of a mix.

    Attributes:
      mix: a sound file, or a video with sound.
      out: folder of the result. Files in it that are not named like results are left alone.
      separator: a name (`mtv_jax.audio.separation.separators`).
      kind: `wav` (float32) or `flac` (24 bit).
      sample_rate: of the tracks, Hz; None: the mix's own.
    """

    mix: Path
    out: Path
    separator: str = DEFAULT_SEPARATOR
    kind: str = "wav"
    sample_rate: int | None = None

    @property
    def method(self) -> Separator:
        """The separator."""
        return find_separator(self.separator)

    @functools.cached_property
    def info(self) -> AudioInfo:
        """Of the mix, which is decoded for it. Raises UserError if it is not a file with sound."""
        return audio_info(self.mix)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the mix's file."""
        return sha256(self.mix)

    @functools.cached_property
    def stamp(self) -> str:
        """Hash of all that the tracks depend on: content of the mix, models and options."""
        made_of = {
            "mix": self.digest,
            "separator": self.separator,
            "models": {name: dataclasses.asdict(card) for name, card in self.method.cards().items()},
            "leak_db": dict(self.method.leak_db),
            "format": self.kind,
            "sample_rate": self.sample_rate,
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    @property
    def rate(self) -> int:
        """Sample rate of the tracks, Hz."""
        return self.sample_rate or self.info.sample_rate

    @property
    def num_bytes(self) -> float:
        """Size of all tracks, at most. Raises UserError if the format cannot hold one."""
        info, kind = self.info, self.kind
        track = info.duration * self.rate * info.channels * _BYTES[kind]
        if track > _MOST_BYTES[kind] or info.channels > _MOST_CHANNELS[kind]:
            other = next(name for name in FORMATS if name != kind)
            what = f"{info.duration:.0f} s of {info.channels} channels"
            raise UserError(f"{self.mix}: {what} do not fit a {kind} file; give --format {other}")
        return len(self.method.tracks) * track

    def finished(self) -> dict[str, Any] | None:
        """The report of an earlier run that made the same of the same mix, and whose tracks are there; else None.

        Tracks are compared by size.
        """
        report = self._same()
        if report is None:
            return None
        files = {self.out / track["file"]: track["bytes"] for track in report["tracks"].values()}
        whole = all(path.is_file() and path.stat().st_size == size for path, size in files.items())
        return report if whole else None

    def check(self, *, overwrite: bool, inputs: Iterable[Path]) -> None:
        """Raises UserError if the result cannot be written, or would replace another one without `overwrite`.

        What a killed process left incomplete of the same result is replaced in any case.
        """
        overwrite = overwrite or self._same() is not None
        # Of every format: two files of one track would leave it open which is meant.
        check_output(self.out, folder=True, overwrite=overwrite, marks=RESULTS, inputs=inputs)

    def write(self, title: str = "separating") -> dict[str, Any]:
        """Separates the mix into files in the folder `out`, and returns the report that is written there too.

        Files appear only once all tracks are whole; then other results in the folder are removed. `title` is that of
        the progress shown.
        """
        stamp = (
            self.stamp
        )  # of the mix as it is now: should it change meanwhile, the result is not taken for finished
        with staging(self.out) as folder:
            files = {name: folder / f"{name}.{self.kind}" for name in self.method.tracks}
            writers, mix = self._separate(files, title)
            report = self._report(files, writers, mix) | {"stamp": stamp}
            self._publish(files.values(), report)
        return report

    def _same(self) -> dict[str, Any] | None:
        """The report in the folder if it has this stamp; the tracks may be incomplete."""
        if not (self.out / REPORT).is_file():
            return None
        try:
            report, _ = read_json_object(self.out / REPORT), self.digest
        except (UserError, OSError):
            return (
                None  # a damaged report, or a mix that cannot be read, which is an error when it is separated
            )
        return report if report.get("stamp") == self.stamp else None

    def _report(
        self, files: dict[str, Path], writers: dict[str, "_TrackWriter"], mix: float
    ) -> dict[str, Any]:
        """Contents of `demix.json`; `mix` is the sum of the squares of the mix's samples."""
        samples = next(iter(writers.values())).samples
        mix_dbfs = float(dbfs(mix / max(samples * self.info.channels, 1)))
        cards, silent = self.method.cards(), silent_levels(self.method, mix_dbfs)
        tracks = {}
        for name, writer in writers.items():
            level = writer.rms_dbfs()
            tracks[name] = {
                "file": files[name].name,
                "bytes": files[name].stat().st_size,
                "rms_dbfs": round(level, 2),
                "share": round(writer.square / mix, 4) if mix else None,
                "peak": round(writer.peak, 4),
                "silent": level < silent[name],
                "silent_dbfs": round(silent[name], 2),
                "model": dataclasses.asdict(cards[name]),
            }
        file = os.fsencode(self.mix.name).decode("utf-8", "backslashreplace")
        return {
            "mix": {
                "file": file,
                "sha256": self.digest,
                "sample_rate": self.info.sample_rate,
                "rms_dbfs": round(mix_dbfs, 2),
            },
            "separator": self.separator,
            "format": self.kind,
            "sample_rate": self.rate,
            "channels": self.info.channels,
            "samples": samples,
            "tracks": tracks,
        }

    def _publish(self, files: Iterable[Path], report: dict[str, Any]) -> None:
        """Moves complete tracks to their folder, after their report: without it they would count as someone else's."""
        for name in RESULTS:
            (self.out / name).unlink(missing_ok=True)
        write_json(self.out / REPORT, report)
        for file in files:
            os.replace(file, self.out / file.name)

    def _separate(self, files: dict[str, Path], title: str) -> tuple[dict[str, "_TrackWriter"], float]:
        """Writes the tracks. Returns their writers, and the sum of the squares of the mix's samples."""
        with contextlib.ExitStack() as stack:
            writers = {}
            for name, path in files.items():
                temporary = stack.enter_context(atomic_path(path))
                file = soundfile.SoundFile(temporary, "w", self.rate, self.info.channels, FORMATS[self.kind])
                writers[name] = _TrackWriter(stack.enter_context(file), self.info.sample_rate)
            folder = next(iter(files.values())).parent
            source = stack.enter_context(readable_in_parts(self.mix, folder))
            square = 0.0
            for piece in self._pieces(source, title):
                # The tracks add up to the mix, which so is resampled like them.
                parts = [writers[name].write(track) for name, track in piece.items()]
                square += _square(sum(parts[1:], parts[0]))
            end = np.zeros((0, self.info.channels), np.float32)
            parts = [writer.write(end, last=True) for writer in writers.values()]
            square += _square(sum(parts[1:], parts[0]))
        return writers, square

    def _pieces(self, source: Path, title: str) -> Iterator[dict[str, np.ndarray]]:
        """The tracks of a decoded mix, section by section, with progress."""
        rate = self.info.sample_rate

        def read(first: int, last: int) -> np.ndarray:
            return read_audio(source, None, mono=False, start=first / rate, duration=(last - first) / rate)

        sections = separate_sections(read, rate, self.method)
        yield from progress(sections, title, num_sections(self.info.duration, self.method))


def track_line(name: str, out: Path, report: dict[str, Any]) -> str:
    """What a report of `DemixFiles.write` says of one track in the folder `out`, in a line."""
    track = report["tracks"][name]
    path, model = out / track["file"], track["model"]
    notes = [f"{track['rms_dbfs']:.1f} dBFS"]
    if track["share"] is not None:
        notes.append(f"{100 * track['share']:.1f} % of the mix's energy")
    if track["silent"]:
        notes.append(f"silent (below {track['silent_dbfs']:g} dBFS)")
    if is_clipped(track):
        notes.append("clipped: use --format wav")
    return f"{name}: {shown(path)} by {model['name']} {model['version']} ({model['fidelity']}), {', '.join(notes)}"


def is_clipped(track: dict[str, Any]) -> bool:
    """Whether a track of a report was too loud for its format."""
    return not track["file"].endswith(".wav") and track["peak"] > 1


class _TrackWriter:
    """Writes one track piece by piece, and measures its level and peak."""

    def __init__(self, file: soundfile.SoundFile, source_rate: int):
        self._file = file
        self._resampler = soxr.ResampleStream(source_rate, file.samplerate, file.channels)
        self.square = 0.0
        self.samples = 0
        self.peak = 0.0

    def write(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """Resamples and writes a piece; returns what was written."""
        samples = self._resampler.resample_chunk(np.ascontiguousarray(samples), last=last)
        self.square += _square(samples)
        self.samples += len(samples)
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0)))
        self._file.write(samples)
        return samples

    def rms_dbfs(self) -> float:
        return float(dbfs(self.square / max(self.samples * self._file.channels, 1)))


def _square(samples: np.ndarray) -> float:
    return float(np.sum(np.square(samples, dtype=np.float64)))
