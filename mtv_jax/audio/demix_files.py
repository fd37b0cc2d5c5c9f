"""Separates a sound file into one file per track (speech, effects, music) and a report.

A long file needs little memory: it is read, separated, resampled and written section by section.
"""

import contextlib
import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from mtv_jax.audio.separation.base import ModelCard
from mtv_jax.audio.separation.sections import num_sections, separate_sections
from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR, find_separator
from mtv_jax.io.audio import AudioInfo, audio_info, read_audio, readable_in_parts
from mtv_jax.io.files import atomic_path, sha256, write_json
from mtv_jax.io.levels import SILENT_DBFS, dbfs
from mtv_jax.io.progress import progress
from mtv_jax.names import TRACKS

FORMATS = {"wav": "FLOAT", "flac": "PCM_24"}
"""Kinds of file that tracks are written as, with libsndfile's name of their samples."""
REPORT = "demix.json"
RESULTS = (*(f"{name}.{kind}" for name in TRACKS for kind in FORMATS), REPORT)
"""Files that the folder of a separated mix may have."""

_BYTES = {"wav": 4, "flac": 3}
"""Size of a sample, at most."""


@dataclasses.dataclass(frozen=True)
class DemixFiles:
    """What to make of a mix.

    Attributes:
      mix: a sound file, or a video with sound.
      separator: its name (`audio.separation.separators`).
      kind: `wav` (float32) or `flac` (24 bit).
      sample_rate: of the tracks, Hz; None: the mix's own.
    """

    mix: Path
    separator: str = DEFAULT_SEPARATOR
    kind: str = "wav"
    sample_rate: int | None = None

    @functools.cached_property
    def info(self) -> AudioInfo:
        """Of the mix, which is decoded for it. Raises UserError if it is not a file with sound."""
        return audio_info(self.mix)

    @property
    def rate(self) -> int:
        """Sample rate of the tracks, Hz."""
        return self.sample_rate or self.info.sample_rate

    @property
    def num_bytes(self) -> float:
        """Size of all tracks, at most."""
        return len(TRACKS) * self.info.duration * self.rate * self.info.channels * _BYTES[self.kind]

    def write(self, out: Path) -> dict[str, Any]:
        """Separates the mix into files in the folder `out`, and returns the report that is written there too.

        Files appear only once all tracks are whole. Tracks of another format that are there from before are removed.
        """
        models = find_separator(self.separator, TRACKS).cards()
        files = {name: out / f"{name}.{self.kind}" for name in TRACKS}
        writers = self._separate(files)
        report = {
            "mix": {
                "file": self.mix.name,
                "sha256": sha256(self.mix),
                "sample_rate": self.info.sample_rate,
            },
            "separator": self.separator,
            "sample_rate": self.rate,
            "channels": self.info.channels,
            "samples": writers[TRACKS[0]].samples,
            "tracks": {name: _track_report(files[name], writers[name], models[name]) for name in TRACKS},
        }
        write_json(out / REPORT, report)
        for name in set(RESULTS) - {REPORT} - {file.name for file in files.values()}:
            (out / name).unlink(missing_ok=True)
        return report

    def _separate(self, files: dict[str, Path]) -> dict[str, "_TrackWriter"]:
        rate, channels = self.info.sample_rate, self.info.channels
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(readable_in_parts(self.mix, files[TRACKS[0]].parent))

            def read(first: int, last: int) -> np.ndarray:
                span = {"start": first / rate, "duration": (last - first) / rate}
                return read_audio(source, None, mono=False, **span)

            writers = {}
            for name, path in files.items():
                temporary = stack.enter_context(atomic_path(path))
                file = soundfile.SoundFile(temporary, "w", self.rate, channels, FORMATS[self.kind])
                writers[name] = _TrackWriter(stack.enter_context(file), rate)
            separator = find_separator(self.separator, TRACKS)
            sections = num_sections(self.info.duration, separator)
            for piece in progress(separate_sections(read, rate, separator), "separating", sections):
                for name, track in piece.items():
                    writers[name].write(track)
            for writer in writers.values():
                writer.write(np.zeros((0, channels), np.float32), last=True)
        return writers


def track_line(name: str, out: Path, report: dict[str, Any]) -> str:
    """What a report of `DemixFiles.write` says of one track in the folder `out`, in a line."""
    track = report["tracks"][name]
    path, model = out / track["file"], track["model"]
    notes = [f"{track['rms_dbfs']:.1f} dBFS"]
    if track["silent"]:
        notes.append(f"silent (below {SILENT_DBFS:g} dBFS)")
    if path.suffix != ".wav" and track["peak"] > 1:
        notes.append("clipped: use --format wav")
    return f"{name}: {path} by {model['name']} {model['version']} ({model['fidelity']}), {', '.join(notes)}"


class _TrackWriter:
    """Writes one track piece by piece, and measures its level and peak."""

    def __init__(self, file: soundfile.SoundFile, source_rate: int):
        self._file = file
        self._resampler = soxr.ResampleStream(source_rate, file.samplerate, file.channels)
        self._square = 0.0
        self.samples = 0
        self.peak = 0.0

    def write(self, samples: np.ndarray, last: bool = False) -> None:
        samples = self._resampler.resample_chunk(np.ascontiguousarray(samples), last=last)
        self._square += float(np.sum(np.square(samples, dtype=np.float64)))
        self.samples += len(samples)
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0)))
        self._file.write(samples)

    def rms_dbfs(self) -> float:
        return float(dbfs(self._square / max(self.samples * self._file.channels, 1)))


def _track_report(path: Path, writer: _TrackWriter, model: ModelCard) -> dict[str, Any]:
    level = writer.rms_dbfs()
    return {
        "file": path.name,
        "rms_dbfs": round(level, 2),
        "peak": round(writer.peak, 4),
        "silent": level < SILENT_DBFS,
        "model": dataclasses.asdict(model),
    }
