"""`python -m mtv_jax.demix mix.wav --out dir/`: one mixed file becomes speech, effects and music."""

import argparse
import contextlib
import dataclasses
import math
from pathlib import Path

import numpy as np
import soundfile
import soxr

from mtv_jax.audio.demix import (
    DEFAULT_DEMIXER,
    DEMIXERS,
    SECTION_SECONDS,
    TRACKS,
    TrackModel,
    demix_sections,
    find_demixer,
)
from mtv_jax.io.audio import AudioInfo, audio_info, read_audio, readable_in_parts
from mtv_jax.io.cli import add_force, add_overwrite, parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, check_output, existing_file, remove_leftovers, sha256, write_json
from mtv_jax.io.levels import SILENT_DBFS, dbfs
from mtv_jax.io.limits import check_room
from mtv_jax.io.lock import FolderLock
from mtv_jax.io.progress import progress

_SUBTYPES = {"wav": "FLOAT", "flac": "PCM_24"}
_BYTES = {"wav": 4, "flac": 3}
"""Of a sample, at most."""
_REPORT = "demix.json"


class _TrackWriter:
    """Writes one track piece by piece and keeps count of its level."""

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


def main(argv: list[str]) -> None:
    """Separates a file, writes the tracks and demix.json, prints a line a track."""
    arguments = parser("demix", "Separates one mixed sound file into speech, effects and music.")
    arguments.add_argument("mix", help="a sound file, or a video with sound")
    arguments.add_argument("--out", required=True, help="folder for speech, effects, music and demix.json")
    arguments.add_argument("--sample-rate", type=int, help="of the tracks, Hz (default: the mix's own)")
    arguments.add_argument("--format", choices=sorted(_SUBTYPES), default="wav", help="float32 or 24 bit")
    arguments.add_argument("--demixer", choices=sorted(DEMIXERS), default=DEFAULT_DEMIXER, help="by name")
    add_overwrite(arguments)
    add_force(arguments)
    options = arguments.parse_args(argv)
    if options.sample_rate is not None and not 8000 <= options.sample_rate <= 192000:
        raise UserError(f"--sample-rate {options.sample_rate}: must be 8000 to 192000")

    mix, info = existing_file(options.mix), audio_info(options.mix)
    # Of every format: two files of one track would leave it open which is meant.
    results = [f"{name}.{kind}" for name in TRACKS for kind in _SUBTYPES] + [_REPORT]
    out = check_output(options.out, folder=True, overwrite=options.overwrite, marks=results, inputs=[mix])
    rate = options.sample_rate or info.sample_rate
    needed = len(TRACKS) * info.duration * rate * info.channels * _BYTES[options.format]
    check_room(out, needed, force=options.force)
    with FolderLock(out, "--out"):
        remove_leftovers(out)
        _demix(mix, info, out, options, rate)


def _demix(mix: Path, info: AudioInfo, out: Path, options: argparse.Namespace, rate: int) -> None:
    """Writes the tracks and the report, and prints a line a track."""
    models = find_demixer(options.demixer).models()
    files = {name: out / f"{name}.{options.format}" for name in TRACKS}
    writers = _separate(mix, info, options.demixer, files, rate)
    reports = {name: _report(files[name], writers[name], models[name]) for name in TRACKS}
    write_json(
        out / _REPORT,
        {
            "mix": {"file": mix.name, "sha256": sha256(mix), "sample_rate": info.sample_rate},
            "demixer": options.demixer,
            "sample_rate": rate,
            "channels": info.channels,
            "samples": writers[TRACKS[0]].samples,
            "tracks": reports,
        },
    )
    for former in (out / f"{name}.{kind}" for name in TRACKS for kind in _SUBTYPES if kind != options.format):
        former.unlink(missing_ok=True)
    for name, report in reports.items():
        print(_line(name, files[name], report, options.format))


def _separate(
    mix: Path, info: AudioInfo, demixer: str, files: dict[str, Path], rate: int
) -> dict[str, _TrackWriter]:
    """Separates section by section into files that appear only once all are whole."""

    with contextlib.ExitStack() as stack:
        source = stack.enter_context(readable_in_parts(mix, files[TRACKS[0]].parent))

        def read(first: int, last: int) -> np.ndarray:
            span = {"start": first / info.sample_rate, "duration": (last - first) / info.sample_rate}
            return read_audio(source, None, mono=False, **span)

        writers = {}
        for name, path in files.items():
            temporary = stack.enter_context(atomic_path(path))
            subtype = _SUBTYPES[path.suffix[1:]]
            file = soundfile.SoundFile(temporary, "w", rate, info.channels, subtype)
            writers[name] = _TrackWriter(stack.enter_context(file), info.sample_rate)
        pieces = demix_sections(read, info.sample_rate, demixer)
        for piece in progress(pieces, "separating", max(1, math.ceil(info.duration / SECTION_SECONDS))):
            for name, track in piece.items():
                writers[name].write(track)
        for writer in writers.values():
            writer.write(np.zeros((0, info.channels), np.float32), last=True)
    return writers


def _report(path: Path, writer: _TrackWriter, model: TrackModel) -> dict:
    level = writer.rms_dbfs()
    return {
        "file": path.name,
        "rms_dbfs": round(level, 2),
        "peak": round(writer.peak, 4),
        "silent": level < SILENT_DBFS,
        "model": dataclasses.asdict(model),
    }


def _line(name: str, path: Path, report: dict, kind: str) -> str:
    model = report["model"]
    notes = [f"{report['rms_dbfs']:.1f} dBFS"]
    if report["silent"]:
        notes.append(f"silent (below {SILENT_DBFS:g} dBFS)")
    if kind != "wav" and report["peak"] > 1:
        notes.append("clipped: use --format wav")
    return f"{name}: {path} by {model['name']} {model['version']} ({model['fidelity']}), {', '.join(notes)}"


if __name__ == "__main__":
    run(main)
