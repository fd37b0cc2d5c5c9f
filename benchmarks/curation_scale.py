"""How long do curation's commands without models take on a data set as large as the paper's, and in what memory?

    python benchmarks/curation_scale.py --clips 400000

A synthetic ledger: films of 300 clips of 49 frames, with the evidence of every stage at its usual size, 1 % of them
copies of a clip of another film. Each command is a process of its own; seconds by the clock and of the processor, and
peak memory, are printed as JSON. The first one pays for reading the ledger. `verify` checks the account of all seconds,
and `--records` records of the usual size (49 frames of 480 x 720), whose time grows with their number.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.curation.filters.fingerprints import to_text
from mtv_jax.curation.inputs import Film, write_films
from mtv_jax.curation.ledger import OK
from mtv_jax.curation.pipeline import make_stages
from mtv_jax.curation.roles import Evidence, scores
from mtv_jax.curation.settings import Layout, Settings, save_settings
from mtv_jax.curation.stages import Keys, Stage
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id
from mtv_jax.data.shards import write_shards
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.files import write_json
from mtv_jax.io.progress import progress

EACH = 300
FRAMES, FPS = 49, Fraction(24)
COPIES = 0.01
COMMANDS = (
    ("status", "status", "{out}"),
    ("decide, another threshold", "decide", "{out}", "--config.filters.min_dbfs=-50"),
    ("decide, other duplicates", "decide", "{out}", "--config.duplicates.max_picture_bits=10"),
    ("status again", "status", "{out}"),
    ("report", "report", "{out}"),
    ("verify", "verify", "{out}"),
)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=400_000)
    parser.add_argument("--records", type=int, default=20, help="in shards, for verify")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        started = time.monotonic()
        write_ledger(out, args.clips)
        write_records(out, args.records)
        size = Layout(out).ledger.stat().st_size
        made = {"clips": args.clips, "ledger_bytes": size, "records": args.records}
        made["seconds_to_make"] = round(time.monotonic() - started, 1)
        found = {name: measure([part.format(out=out) for part in command]) for name, *command in COMMANDS}
        store = Layout(out).evidence.stat().st_size
    print(json.dumps({"synthetic": made | {"store_bytes": store}, "commands": found}, indent=2))


def measure(command: list[str]) -> dict[str, float]:
    """Runs a command of `mtv_jax.curate`; its seconds and peak memory."""
    child = f"""
import resource, sys
from mtv_jax import curate
code = curate.main({command!r})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(time.monotonic() - started, 1),
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_gb": round(int(done.stderr.split()[-1]) * 1024 / 1e9, 2),
    }


def write_ledger(out: Path, clips: int) -> None:
    """The folder of a curation whose stages are done, without the clips' files."""
    layout, settings = Layout(out), settings_of(out)
    stages = make_stages(settings)
    cards = {stage.name: {} for stage in stages}
    keys = Keys(stages, cards)
    rng = np.random.default_rng(0)
    films = [film_of(number) for number in range(-(-clips // EACH))]
    save_settings(layout, settings)
    write_json(layout.cards, cards)
    write_films(layout.films, films)
    texts = evidence_texts(stages, rng)
    prints: list[str] = []
    with open(layout.ledger, "w") as ledger:
        for number, film in enumerate(progress(films, "writing a ledger")):
            count = min(EACH, clips - number * EACH)
            ledger.writelines(rows_of(film, count, keys, texts, rng, prints))


def evidence_texts(stages: Sequence[Stage], rng: np.random.Generator) -> list[dict[str, str]]:
    """Of each clip of a film, the same in all films: stage -> evidence but for the fingerprint, as JSON."""
    names = [stage.name for stage in stages if stage.name not in ("probe", "shots", "fingerprint")]
    return [
        {name: json.dumps(of_clip(name, span_of(number), rng)) for name in names} for number in range(EACH)
    ]


def settings_of(out: Path) -> Settings:
    return Settings("films", ClipSize(FRAMES, FPS, 480, 720), FRAMES, "dfn3+mask")


def film_of(number: int) -> Film:
    digest = hashlib.sha256(f"film {number}".encode()).hexdigest()
    about = {"kind": "film" if number % 20 else "talking_head", "licence": "CC-BY-4.0"}
    return Film(f"film_{number:05d}.mp4", f"/films/film_{number:05d}.mp4", about, digest)


def rows_of(
    film: Film,
    count: int,
    keys: Keys,
    texts: Sequence[Mapping[str, str]],
    rng: np.random.Generator,
    prints: list[str],
) -> Iterator[str]:
    """The lines of a film."""
    of_film = keys.film(film.sha256, film.about)
    found = {
        "probe": scores(picture={"start_pts": 0, "end_pts": count * FRAMES, "time_base": [1, 24]}),
        "shots": scores(shots=[shot(i) for i in range(count)]),
        "clips": scores(count=count, unused={}),
    }
    ids = [clip_id(film.sha256, i * FRAMES, (i + 1) * FRAMES, (1, 24)) for i in range(count)]
    for stage, key in of_film.items():
        if stage in ("clips", "separation", "speakers"):
            for clip, text in zip(ids, texts, strict=False):
                yield row(clip, film, stage, key, text[stage])
        yield row(film.sha256, film, stage, key, json.dumps(found.get(stage, scores())), COST)
    for clip, text in zip(ids, texts, strict=False):
        for stage, key in keys.clip(clip, film.about, of_film).items():
            evidence = print_of(rng, prints) if stage == "fingerprint" else text[stage]
            yield row(clip, film, stage, key, evidence, COST)


COST = ', "seconds": 0.1234, "peak_bytes": 812345678'


def row(item: str, film: Film, stage: str, key: str, evidence: str, cost: str = "") -> str:
    """A line of the ledger."""
    about = f'"item": "{item}", "film": "{film.sha256}", "stage": "{stage}", "key": "{key}"'
    return f'{{{about}, "status": "{OK}", "evidence": {evidence}{cost}}}\n'


def span_of(number: int) -> dict[str, Any]:
    first, end = number * FRAMES, (number + 1) * FRAMES
    start = Fraction(first) / FPS
    span = {"start": [start.numerator, start.denominator], "fps": [24, 1], "num_frames": FRAMES}
    return span | {"start_pts": first, "end_pts": end, "time_base": [1, 24]}


def shot(number: int) -> dict[str, Any]:
    first = number * FRAMES
    pts = {"first_pts": 0, "start_pts": first, "end_pts": first + FRAMES, "time_base": [1, 24]}
    return {**pts, "transition": None, "ends": ["cut", "cut"]}


def of_clip(stage: str, span: Mapping[str, Any], rng: np.random.Generator) -> Evidence:
    """Evidence about as large as that of the stage."""

    def some(count: int = 1) -> Any:
        found = rng.random(count).round(4).tolist()
        return found if count > 1 else found[0]

    tracks = [{"frames": list(range(10)), "boxes": [some(4) for _ in range(10)]} for _ in range(2)]
    heard = ["speech", "effects", "music"][: int(rng.integers(1, 4))]
    levels = dict(zip(("speech", "effects", "music"), (-60 * rng.random(3)).round(3).tolist(), strict=True))
    found: dict[str, Evidence] = {
        "clips": scores(start=str(Fraction(*span["start"])), num_frames=FRAMES, fps="24", span=span),
        "separation": scores(dbfs=levels, silent_dbfs=dict.fromkeys(levels, -45.0), heard=heard),
        "speakers": scores(turns=[[0.1, 1.2, "a"], [1.3, 2.0, "b"]], speakers=2, speech=1.8),
        "quality": scores(ovrl=1 + 3 * some(), sig=3.1, bak=2.2 + some(), p808=3 + some(), speech=some()),
        "sound": scores(dbfs=-70 * some(), clipped=0.0),
        "motion": scores(flow=2 * some()),
        "bars": scores(share=0.2 * some(), rows=0.0, columns=some()),
        "persons": scores(count=int(rng.integers(4)), frames=10, tracks=tracks),
        "mouths": scores(fps=24.0, tracks=[{"first": 0, "opening": some(49), "motion": some(49)}]),
        "lip_sync": scores(sync=some(), best=some(), frames=49),
        "speaking": scores(scores=[some(10), some(10)], in_view=some(), active=some()),
        "caption": scores(
            prompt="Two people talk to each other. " * 12, disagrees={}, tokens={"requests": 1}
        ),
        "encode": scores(arrays={"latents_mean": [13, 60, 90, 16], "text": [226, 4096]}),
    }
    return found[stage]


def print_of(rng: np.random.Generator, seen: list[str]) -> str:
    """The fingerprint of a new clip, four alike frames and a sound, or one of those that were `seen`."""
    if seen and rng.random() < COPIES:
        return seen[int(rng.integers(len(seen)))]
    picture = rng.integers(0, 2**64, 1, np.uint64) ^ (
        np.uint64(1) << rng.integers(0, 64, 4).astype(np.uint64)
    )
    sound = rng.bytes(4 * 43).hex()
    found = scores(sha256=hashlib.sha256(sound.encode()).hexdigest(), pictures=to_text(picture), sounds=sound)
    text = json.dumps(found)
    if len(seen) < 10_000:
        seen.append(text)
    return text


def write_records(out: Path, count: int) -> None:
    """Shards of random latents of the usual size."""
    rng = np.random.default_rng(0)
    names = {"latents_mean": (13, 60, 90, 16), "latents_logvar": (13, 60, 90, 16), "text": (226, 4096)}
    arrays = {name: rng.standard_normal(shape).astype(np.float16) for name, shape in names.items()}
    arrays |= {name: rng.standard_normal((49, 12, 768)).astype(np.float16) for name in ("speech", "music")}
    source = ClipSource("film.mp4", "00", 0, FRAMES, (1, 24))
    records = (
        ClipRecord(f"{number:064x}", "prompt", (24, 1), FRAMES, 480, 720, source, arrays)
        for number in range(count)
    )
    write_shards(out, records, kind="latents")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
