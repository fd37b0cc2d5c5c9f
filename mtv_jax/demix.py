"""`python -m mtv_jax.demix mix.wav --out dir/`: one mixed file becomes speech, effects and music."""

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
    SILENT_DBFS,
    TRACKS,
    TrackModel,
    demix_sections,
    find_demixer,
)
from mtv_jax.io.audio import AudioInfo, audio_info, read_audio, readable_in_parts
from mtv_jax.io.cli import parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, existing_file, sha256, write_json
from mtv_jax.io.progress import progress

_SUBTYPES = {"wav": "FLOAT", "flac": "PCM_24"}
_FLOOR_DBFS = -120.0


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
        mean_square = self._square / max(self.samples * self._file.channels, 1)
        return max(10 * math.log10(mean_square), _FLOOR_DBFS) if mean_square else _FLOOR_DBFS


def main(argv: list[str]) -> None:
    """Separates a file, writes the tracks and demix.json, prints a line a track."""
    arguments = parser("demix", "Separates one mixed sound file into speech, effects and music.")
    arguments.add_argument("mix", help="a sound file, or a video with sound")
    arguments.add_argument("--out", required=True, help="folder for speech, effects, music and demix.json")
    arguments.add_argument("--sample-rate", type=int, help="of the tracks, Hz (default: the mix's own)")
    arguments.add_argument("--format", choices=sorted(_SUBTYPES), default="wav", help="float32 or 24 bit")
    arguments.add_argument("--demixer", choices=sorted(DEMIXERS), default=DEFAULT_DEMIXER, help="by name")
    options = arguments.parse_args(argv)
    if options.sample_rate is not None and not 8000 <= options.sample_rate <= 192000:
        raise UserError(f"--sample-rate {options.sample_rate}: must be 8000 to 192000")

    mix, out, info = existing_file(options.mix), Path(options.out), audio_info(options.mix)
    models = find_demixer(options.demixer).models()
    rate = options.sample_rate or info.sample_rate
    files = {name: out / f"{name}.{options.format}" for name in TRACKS}
    for path in (*files.values(), out / "demix.json"):
        if path.exists():
            raise UserError(f"{path}: exists already; give another --out")
    writers = _separate(mix, info, options.demixer, files, rate)
    reports = {name: _report(files[name], writers[name], models[name]) for name in TRACKS}
    write_json(
        out / "demix.json",
        {
            "mix": {"file": mix.name, "sha256": sha256(mix), "sample_rate": info.sample_rate},
            "demixer": options.demixer,
            "sample_rate": rate,
            "channels": info.channels,
            "samples": writers[TRACKS[0]].samples,
            "tracks": reports,
        },
    )
    for name, report in reports.items():
        print(_line(name, files[name], report, options.format))


def _separate(
    mix: Path, info: AudioInfo, demixer: str, files: dict[str, Path], rate: int
) -> dict[str, _TrackWriter]:
    """Separates section by section into files that appear only once all are whole."""

    with contextlib.ExitStack() as stack:
        folder = files[TRACKS[0]].parent
        folder.mkdir(parents=True, exist_ok=True)
        source = stack.enter_context(readable_in_parts(mix, folder))

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
