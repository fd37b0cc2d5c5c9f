"""Does the loader keep up with a one-second step on records of full size?

    python benchmarks/loader.py [--rows 4] [--step-seconds 1] [--steps 20] [--workers 2] [--dir DIR]

Writes random records as a 49x480x720 clip gives them (latents 13x60x90x16 twice, text 226x4096, three tracks
of 49x12x768, float16), puts them out of the system's cache, and reads shuffled batches of `--rows`, which is
one process's share, between steps that only sleep. Prints JSON: bytes of a record, as arrays and on disk; seconds until
the first batch; seconds that later steps waited; records a second without sleeping; and the peak memory of this
process and its workers, before reading and at the end. Linux.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mtv_jax.data.pipeline import DataConfig, make_dataset
from mtv_jax.data.records import ClipRecord, ClipSource
from mtv_jax.data.shards import ShardSet, open_shards, write_shards
from mtv_jax.names import TRACKS

SHAPES = {"latents_mean": (13, 60, 90, 16), "latents_logvar": (13, 60, 90, 16), "text": (226, 4096)}
SHAPES |= dict.fromkeys(TRACKS, (49, 12, 768))


def records(count: int) -> Iterator[ClipRecord]:
    rng = np.random.default_rng(0)
    for number in range(count):
        arrays = {
            name: rng.standard_normal(shape, np.float32).astype(np.float16) for name, shape in SHAPES.items()
        }
        source = ClipSource("random", "00", number, number + 49, (1, 24))
        yield ClipRecord(f"{number:08x}", "random", (24, 1), 49, 480, 720, source, arrays)


def forget_files(directory: Path) -> None:
    """Puts the files out of the system's cache, so that they are read from the disk."""
    for path in directory.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def family() -> list[int]:
    """This process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def peak_memory() -> int:
    """Bytes, the sum of all processes' peaks."""
    total = 0
    for pid in family():
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return total


def read(shards: ShardSet, args: argparse.Namespace) -> dict:
    config = DataConfig(args.rows, num_workers=args.workers)
    before, started = peak_memory(), time.perf_counter()
    batches = iter(make_dataset(shards, config))
    next(batches)
    first, waits = time.perf_counter() - started, []
    for _ in range(args.steps):
        time.sleep(args.step_seconds)
        started = time.perf_counter()
        next(batches)
        waits.append(time.perf_counter() - started)
    started = time.perf_counter()
    for _ in range(args.steps):
        next(batches)
    rate = args.rows * args.steps / (time.perf_counter() - started)
    return {
        "first_batch_seconds": first,
        "wait_seconds": {"largest": max(waits), "mean": sum(waits) / len(waits)},
        "records_per_second_at_full_speed": rate,
        "peak_bytes": {"before": before, "after": peak_memory()},
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, default=4, help="of a batch: this process's share (default: %(default)s)"
    )
    parser.add_argument("--step-seconds", type=float, default=1.0, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--records", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="processes that read (default: %(default)s)")
    parser.add_argument(
        "--dir", type=Path, help="where to write the shards (default: the system's temporary folder)"
    )
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.dir) as name:
        directory = Path(name)
        write_shards(directory, records(args.records), kind="latents")
        forget_files(directory)
        size = sum(path.stat().st_size for path in directory.iterdir()) / args.records
        raw = sum(2 * int(np.prod(shape)) for shape in SHAPES.values())
        print(f"{args.records} records written", file=sys.stderr)
        shards = open_shards(directory)
        result = {"record_bytes": {"arrays": raw, "on_disk": round(size)}, **read(shards, args)}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
