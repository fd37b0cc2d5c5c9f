"""What do separated tracks and detected captions cost a model that is trained on them?

    python benchmarks/theatre_curation.py --out runs/theatre_curation
    python benchmarks/theatre_shards.py --curated runs/theatre_curation

MTV's five stages at tiny size, once on the shards that curation made of the theatre's films (`curated`), once on the
same clips, with the same pictures and in the same subsets, but with the theatre's own tracks and captions (`own`). Both
start from the backbone of the preset `tiny`, with a new controlnet and the same seeds, and are measured by `evaluate
--suite theatre`. What is done is not repeated, what was stopped resumes; `--only` does one of the two.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from theatre_curation import CONFIG, SEED

from mtv_jax.audio.features import track_features
from mtv_jax.curation.encoders import Encoders, TrackEncoders, stored
from mtv_jax.curation.report.truth import read_truth, truth_of
from mtv_jax.data.manifests import ENCODERS, MANIFEST
from mtv_jax.data.records import ClipRecord
from mtv_jax.data.shards import open_shards, write_shards
from mtv_jax.evaluation.report.schema import RESULTS
from mtv_jax.io.audio import fit_length
from mtv_jax.io.files import link_tree, read_json
from mtv_jax.io.progress import progress
from mtv_jax.names import SUBSETS, TRACK_RATE, TRACKS
from mtv_jax.pipelines.presets import PIPELINE, pipeline_folder
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import SoundLibrary, plan_clip
from mtv_jax.theatre.clip import describe
from mtv_jax.theatre.sounds import perform

SETS = ("own", "curated")


def own_shards(curated: Path, films: Path, out: Path) -> None:
    """Shards of the same clips with the theatre's tracks and captions, unless they are there."""
    if (out / MANIFEST).exists():
        return
    shards = open_shards(curated)
    encoders = Encoders.from_pretrained(curated / ENCODERS)
    encoders.save(out / ENCODERS, shards.clip_size)
    records = [
        own_record(shards.read(number), films, encoders)
        for number in progress(range(len(shards)), "encoding the theatre's tracks")
    ]
    subsets = {name: [records[i].id for i in shards.subset(name)] for name in shards.subset_names}
    info = {ENCODERS: shards.manifest["info"][ENCODERS]}
    write_shards(out, records, kind="latents", info=info, subsets=subsets)


def own_record(record: ClipRecord, films: Path, encoders: Encoders) -> ClipRecord:
    """A record with the theatre's own tracks and caption."""
    start = record.source.start_pts * Fraction(*record.source.time_base)
    fps = Fraction(*record.fps)
    part = truth_of(
        read_truth(films / record.source.name), float(start), float(start + record.num_frames / fps)
    )
    assert part is not None
    plan = plan_clip(SEED, part["index"], CONFIG)
    waves = perform(plan, SoundLibrary.training()).tracks
    first, length = round(-part["start"] * TRACK_RATE), round(record.num_frames / fps * TRACK_RATE)
    tracks = {name: fit_length(waves[name][max(0, first) :], length) for name in TRACKS}
    assert isinstance(encoders, TrackEncoders)
    features = track_features(encoders.audio, tracks, record.num_frames, fps)
    prompt = theatre_prompt(describe(plan))
    changed = {"text": encoders.text.encode([prompt])[0], **features}
    arrays = {**record.arrays, **{name: stored(name, array) for name, array in changed.items()}}
    return dataclasses.replace(record, prompt=prompt, arrays=arrays)


def backbone(out: Path) -> Path:
    """The backbone of the preset `tiny` alone, which knows the theatre's pictures but no sound."""
    tiny = pipeline_folder("tiny")
    for name in ("transformer", "scheduler"):
        if not (out / name).exists():
            link_tree(tiny / name, out / name)
    return out


def train(shards: Path, start: Path, out: Path, steps: int, batch_size: int) -> Path:
    """The five stages; the pipeline of the last."""
    for stage in range(1, len(SUBSETS) + 1):
        workdir = out / f"stage{stage}"
        options = {"data.dir": shards, "init_from": start, "num_steps": steps, "data.batch_size": batch_size}
        options |= {"optimizer.warmup_steps": min(50, steps // 4), "checkpoint.every": max(1, steps // 2)}
        flags = [f"--config.{key}={value}" for key, value in options.items()]
        if not (workdir / PIPELINE).exists():
            _run(
                "mtv_jax.train",
                "--config",
                f"configs/stage{stage}.py:tiny",
                "--workdir",
                str(workdir),
                *flags,
            )
        start = workdir / PIPELINE
    return start


def measure(pipeline: Path, out: Path, clips: int, seeds: int) -> dict[str, dict[str, Any]]:
    """The suite's figures by id."""
    if not (out / RESULTS).exists():
        options = ["--preset", str(pipeline), "--clips", str(clips), "--seeds", str(seeds), "--videos", "0"]
        _run("mtv_jax.evaluate", "--suite", "theatre", "--out", str(out), *options)
    return {figure["id"]: figure for figure in read_json(out / RESULTS)["figures"]}


def table(found: dict[str, dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row for each figure: its value and interval with each set."""
    ids = dict.fromkeys(name for figures in found.values() for name in figures)
    keys = ("value", "interval")
    return [
        {"id": name} | {which: {key: f[name][key] for key in keys} for which, f in found.items() if name in f}
        for name in ids
    ]


def _run(module: str, *options: str) -> None:
    """Runs a command, whose output goes to stderr: stdout is for the result."""
    subprocess.run([sys.executable, "-m", module, *options], check=True, stdout=2)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    curated = Path("runs/theatre_curation")
    parser.add_argument("--curated", type=Path, default=curated, help="the --out of theatre_curation.py")
    parser.add_argument("--steps", type=int, default=200, help="of each stage")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--clips", type=int, default=200, help="that the suite measures")
    parser.add_argument("--seeds", type=int, default=1, help="noises of each clip")
    parser.add_argument(
        "--only", choices=SETS, help="train and measure with one set; the table is of what is there"
    )
    args = parser.parse_args(argv)
    shards = {"curated": args.curated / "shards", "own": args.curated / "own"}
    own_shards(shards["curated"], args.curated / "films", shards["own"])
    start = backbone(args.curated / "backbone")
    found = {}
    for which in SETS:
        out = args.curated / f"trained-{which}"
        if args.only in (None, which):
            last = train(shards[which], start, out, args.steps, args.batch_size)
            found[which] = measure(last, out / "report", args.clips, args.seeds)
        elif (out / "report" / RESULTS).exists():
            found[which] = {f["id"]: f for f in read_json(out / "report" / RESULTS)["figures"]}
    made = {
        "clips_in_shards": len(open_shards(shards["own"])),
        "steps": args.steps,
        "batch_size": args.batch_size,
    }
    print(json.dumps({**made, "clips": args.clips, "seeds": args.seeds, "figures": table(found)}, indent=1))


if __name__ == "__main__":
    main()
