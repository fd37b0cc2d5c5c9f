"""Does the memory of a curation grow with the length of a film?

    python benchmarks/curation_memory.py [--minutes 10,40] [--size 64x36] -- [options of `curate run`]

Loops the bundled clip, scaled down, to films of such lengths, curates each by one worker, and prints JSON: the peak
memory of each stage in the worker and of the command, which has the ledger, and clips a second (Linux).
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mtv_jax.curation.costs import Costs
from mtv_jax.data.transforms import resize_crop
from mtv_jax.io.audio import read_audio
from mtv_jax.io.jsonl import read_rows
from mtv_jax.io.video import read_video, write_video

BUNDLED = Path(__file__).parents[1] / "mtv_jax" / "assets" / "clips" / "big_buck_bunny.mp4"
RATE = 16_000


def loop(path: Path, minutes: float, width: int, height: int) -> None:
    """Writes the bundled clip again and again, with its sound."""
    frames, fps = read_video(BUNDLED)
    frames, sound = resize_crop(frames, height, width), read_audio(BUNDLED, RATE)
    times = -(-round(minutes * 60 * fps) // len(frames))
    sound = sound[: round(len(frames) / fps * RATE)]
    repeated = itertools.chain.from_iterable(itertools.repeat(frames, times))
    write_video(path, repeated, fps, audio=np.tile(sound, times), sample_rate=RATE)


def curate(films: Path, out: Path, options: list[str]) -> dict:
    """What the stages cost, and the peak memory of the command."""
    argv = [sys.executable, "-m", "mtv_jax.curate", "run", "--videos", films, "--out", out, "--workers=1"]
    run = subprocess.Popen([*map(str, argv), *options], stdout=subprocess.DEVNULL)
    peak = 0
    while run.poll() is None:
        peak = max(peak, _peak(run.pid))
        time.sleep(0.5)
    if run.returncode:
        sys.exit(f"curate run ended with {run.returncode}")
    costs = Costs()
    for row in read_rows(out / "work" / "ledger.jsonl"):
        costs.add(row)
    return {"command_peak_bytes": peak, "stages": {row["stage"]: row for row in costs.to_json()}}


def _peak(process: int) -> int:
    """Bytes of a process that runs; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    lengths = {"type": lambda text: [float(x) for x in text.split(",")], "default": [10.0, 40.0]}
    parser.add_argument("--minutes", **lengths, help="lengths of the films (default 10,40)")
    parser.add_argument("--size", default="64x36", help="width and height of the films (default 64x36)")
    parser.add_argument("options", nargs="*", help="of `curate run`, after --")
    args = parser.parse_args(argv)
    width, height = map(int, args.size.split("x"))
    found = []
    for minutes in args.minutes:
        with tempfile.TemporaryDirectory() as folder:
            films = Path(folder) / "films"
            films.mkdir()
            loop(films / "film.mp4", minutes, width, height)
            found.append({"minutes": minutes, **curate(films, Path(folder) / "out", args.options)})
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
