"""Does the memory of a curation grow with the length of a film?

    python -m benchmarks.curation_memory [--minutes 5,10,20,40] [--out benchmarks/results/curation/memory.json]

Loops the bundled clip, scaled down, to films of such lengths, and curates each by one worker: `frames`, its pixels at
256x384, and `sound`, with all models but the second separator, small encoders and small clips. A film gives a row of
the JSON file: the peak memory of each stage in the worker, and of the command, which has the ledger (Linux). Rows that
are there are not measured again. The picture beside it shows the peaks of the last stage from the first clip to the
last.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.curation.costs import Costs
from mtv_jax.data.transforms import resize_crop
from mtv_jax.io.audio import read_audio
from mtv_jax.io.files import read_json, write_json, write_text
from mtv_jax.io.jsonl import read_rows
from mtv_jax.io.video import read_video, write_video

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "mtv_jax" / "assets" / "clips" / "big_buck_bunny.mp4"
OUT = ROOT / "benchmarks" / "results" / "curation" / "memory.json"
CONFIG = f"--config={ROOT / 'configs' / 'curate.py'}"
SETTINGS = {
    "frames": (
        f"{CONFIG}:plain",
        "--config.captioner=detectors",
        *("--frames-only", "--num-frames=49", "--height=256", "--width=384", "--fps=24", "--stride=120"),
    ),
    "sound": (
        *(CONFIG, "--config.filters.min_motion=0", "--config.demixing.separator="),
        *("--encoders=tiny", "--stride=192"),
    ),
}
"""Options of `curate run`: a clip each 5 s of film, and each 16 s. No clip is rejected."""
RATE = 16_000
LAST, CURVE, POINTS = "encode", "encode_peak_mb", 30
"""The last stage; the peaks in it of consecutive clips, the highest of each thirtieth."""
MB = 1e6
_WIDTH, _HEIGHT, _LEFT, _BELOW = 640, 260, 60, 24
_COLOURS = ("#4477aa", "#cc6677")


def loop(path: Path, minutes: float, width: int, height: int) -> None:
    """Writes the bundled clip again and again, with its sound."""
    frames, fps = read_video(BUNDLED)
    frames, sound = resize_crop(frames, height, width), read_audio(BUNDLED, RATE)
    times = -(-round(minutes * 60 * fps) // len(frames))
    sound = sound[: round(len(frames) / fps * RATE)]
    repeated = itertools.chain.from_iterable(itertools.repeat(frames, times))
    write_video(path, repeated, fps, audio=np.tile(sound, times), sample_rate=RATE)


def measure(setting: str, minutes: float, size: tuple[int, int], options: Sequence[str]) -> dict[str, Any]:
    """The row of a film."""
    with tempfile.TemporaryDirectory() as folder:
        films, out = Path(folder) / "films", Path(folder) / "out"
        films.mkdir()
        loop(films / "film.mp4", minutes, *size)
        peak = curate(films, out, [*SETTINGS[setting], *options])
        costs, last = Costs(), []
        for row in read_rows(out / "work" / "ledger.jsonl"):
            costs.add(row)
            if row["stage"] == LAST:
                last.append(round(row["peak_bytes"] / MB))
    stages = {row["stage"]: _short(row) for row in costs.to_json()}
    about = {"setting": setting, "minutes": minutes, "clips": len(last), "command_peak_mb": round(peak / MB)}
    parts = np.array_split(last, min(POINTS, len(last)))
    return {**about, "stages": stages, CURVE: [int(part.max()) for part in parts]}


def curate(films: Path, out: Path, options: list[str]) -> int:
    """Runs `curate run`; the peak memory of the command in bytes, without its worker's."""
    argv = [sys.executable, "-m", "mtv_jax.curate", "run", "--videos", films, "--out", out, "--workers=1"]
    run = subprocess.Popen([*map(str, argv), *options], stdout=subprocess.DEVNULL)
    peak = 0
    while run.poll() is None:
        peak = max(peak, _peak(run.pid))
        time.sleep(0.5)
    if run.returncode:
        sys.exit(f"curate run ended with {run.returncode}")
    return peak


def _peak(process: int) -> int:
    """Bytes of a process that runs; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _short(cost: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "items": cost["items"],
        "seconds": round(cost["seconds"], 1),
        "peak_mb": round(cost["peak_bytes"] / MB),
    }


def picture(rows: Sequence[Mapping[str, Any]]) -> str:
    """SVG: the peaks of the last stage from the first clip to the last, a line for each film."""
    lines = [row[CURVE] for row in rows]
    most, width = max(map(max, lines)) * 1.1, _WIDTH - _LEFT - 4
    names = list(dict.fromkeys(row["setting"] for row in rows))
    drawn = []
    for line, row in zip(lines, rows, strict=True):
        places = [
            (round(_LEFT + width * i / len(line), 1), round(_HEIGHT * (1 - peak / most), 1))
            for i, peak in enumerate(line, 1)
        ]
        colour = _COLOURS[names.index(row["setting"])]
        points = " ".join(f"{x},{y}" for x, y in places)
        drawn.append(f"<polyline fill='none' stroke='{colour}' points='{points}'/>")
        drawn.append(f"<circle fill='{colour}' r='3' cx='{places[-1][0]}' cy='{places[-1][1]}'/>")
    texts = [
        *((4, 14, f"{most:.0f} MB"), (4, _HEIGHT, "0 MB"), (_LEFT, _HEIGHT + _BELOW - 6, "first clip")),
        (_WIDTH - 90, _HEIGHT + _BELOW - 6, "last clip"),
        *((_LEFT + 10, 20 + 16 * i, name, _COLOURS[i]) for i, name in enumerate(names)),
    ]
    labels = [
        f"<text x='{x}' y='{y}' fill='{colour[0] if colour else '#555'}'>{text}</text>"
        for x, y, text, *colour in texts
    ]
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {_HEIGHT + _BELOW}' font-size='12' "
        "font-family='sans-serif'>"
    )
    back = f"<rect width='{_WIDTH}' height='{_HEIGHT + _BELOW}' fill='white'/>"
    return f"{head}{back}{''.join(drawn)}{''.join(labels)}</svg>\n"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    lengths = {"type": lambda text: [float(x) for x in text.split(",")], "default": [5.0, 10.0, 20.0, 40.0]}
    parser.add_argument("--minutes", **lengths, help="lengths of the films (default 5,10,20,40)")
    parser.add_argument("--settings", default=",".join(SETTINGS), help="default: frames,sound")
    parser.add_argument("--size", default="64x36", help="width and height of the films (default 64x36)")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file of the rows")
    parser.add_argument("options", nargs="*", help="of `curate run`, besides, after --")
    args = parser.parse_args(argv)
    width, height = map(int, args.size.split("x"))
    rows = read_json(args.out) if args.out.exists() else []
    done = {(row["setting"], row["minutes"]) for row in rows}
    for wanted in itertools.product(args.settings.split(","), args.minutes):
        if wanted not in done:
            rows.append(measure(*wanted, (width, height), args.options))
            write_json(args.out, rows)
    write_text(args.out.with_suffix(".svg"), picture(rows))
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
