"""MTV's Table 2 in miniature: what is lost without each part, on the theatre?

    python benchmarks/ablations.py --out runs/tiny/ablations    (after `make tiny`, of which it needs the first half)

Trains each variant from the same backbone, on all subsets at once, for the same steps and three seeds, and measures
it by the theatre suite. A run at a time, of six minutes on two cores; what was done is not repeated, and what was
stopped resumes. `--only VARIANT-SEED` does one. Writes `table.json` and prints a table: means over the seeds that are
there, differences from the full model within a seed, and 95 % intervals over trainings (Student's t), which are wide
for three.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mtv_jax.evaluation.report.claims import claim
from mtv_jax.evaluation.report.provenance import provenance
from mtv_jax.evaluation.theatre.pipeline import generated, stage_of
from mtv_jax.evaluation.theatre.readers import Readers, fit_readers
from mtv_jax.evaluation.theatre.run import Run, evaluation_clips, watch
from mtv_jax.evaluation.theatre.suite import figures
from mtv_jax.io.files import read_json, write_json
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.pipelines.presets import CHECKPOINTS, PIPELINE
from mtv_jax.training.checkpoint import Checkpoints

VARIANTS = ("full", "no_separate_extraction", "no_separate_injection", "frozen_backbone")
SHOWN = (
    "lips.correlation",
    "other_head.correlation",
    "events.f1",
    "mood.hue",
    "mood.brightness",
    "leaks.speech_by_effects",
    "leaks.speech_by_music",
    "leaks.effects_by_speech",
    "leaks.effects_by_music",
    "leaks.music_by_speech",
    "leaks.music_by_effects",
    "looks.correct",
)
"""Ids of the figures in the table (`mtv_jax.evaluation.report.claims`)."""
FIGURES = "figures.json"
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Number of seeds -> the 97.5 % point of Student's t of one fewer degrees of freedom."""


def train(variant: str, seed: int, workdir: Path, steps: int) -> None:
    """Trains, or resumes. Exits if the workdir is of another length, whose rates fell otherwise, or is stopped."""
    found = _progress(workdir)
    if found and found[1] != steps:
        raise SystemExit(
            f"{workdir}: a training of {found[1]} steps, not {steps}; remove it, or give another --out"
        )
    config = [f"--config.seed={seed}", f"--config.num_steps={steps}"]
    if variant != "full":
        config.append(f"--config.ablation={variant}")
    _run("mtv_jax.train", "--config", "configs/tiny/mixed.py", "--workdir", str(workdir), *config)
    if _progress(workdir) != (steps, steps):
        raise SystemExit(f"{workdir}: stopped; run the same command again to go on")


def _progress(workdir: Path) -> tuple[int, int] | None:
    """Steps that a training has taken, and that it is to take; None if it has saved nothing."""
    if not (workdir / CHECKPOINTS).is_dir():
        return None
    with Checkpoints(workdir, read_only=True) as checkpoints:
        step = checkpoints.latest()
        return None if step is None else (step, checkpoints.run(step)["config"]["num_steps"])


def measure(workdir: Path, readers: Readers, clips: int, sampling_steps: int) -> list[dict[str, Any]]:
    """The suite's figures of a trained variant, made unless they are there. (Their ceilings are everyone's.)"""
    file, folder = workdir / FIGURES, workdir / PIPELINE
    made = {"clips": clips, "sampling_steps": sampling_steps, **provenance(folder)}
    if not file.exists() or read_json(file)["made"] != made:
        pipe = Pipeline.from_pretrained(folder)
        theatre = evaluation_clips(Run(stage_of(pipe.defaults.clip, pipe.tracks), clips))
        show = partial(generated, pipe, steps=sampling_steps, guidance_scale=1.0, batch_size=16)
        samples = watch(readers, theatre, [0], show)
        write_json(file, {"made": made, "figures": [figure.to_json() for figure in figures(samples)]})
    return read_json(file)["figures"]


def table(found: dict[str, dict[int, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Of each shown figure and variant: its value for each seed, their mean, and the mean difference from `full`.

    `found` has the suite's figures by variant and seed. Differences are within a seed, whose trainings began alike and
    were measured on the same clips and noise. A value that cannot be measured is None and is left out of the means.
    """
    rows = []
    for identifier in SHOWN:
        full = _values(found.get("full", {}), identifier)
        for variant, results in found.items():
            values = _values(results, identifier)
            known = {seed: value for seed, value in values.items() if value is not None}
            pairs = [(known[s], full.get(s)) for s in known if variant != "full"]
            apart = [value - of_full for value, of_full in pairs if of_full is not None]
            row = {"id": identifier, "variant": variant, "values": values}
            rows.append(row | _summary(list(known.values())) | {"less_full": _summary(apart)})
    return rows


def _values(results: dict[int, list[dict[str, Any]]], identifier: str) -> dict[int, float | None]:
    return {
        seed: next((f["value"] for f in figures if f["id"] == identifier), None)
        for seed, figures in results.items()
    }


def _summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean and 95 % interval of the mean over trainings, if there are enough."""
    middle = mean(values) if values else None
    if middle is None or len(values) not in STUDENT_T:
        return {"mean": middle, "interval": None}
    half = STUDENT_T[len(values)] * stdev(values) / len(values) ** 0.5
    return {"mean": middle, "interval": [middle - half, middle + half]}


def _run(module: str, *options: str) -> None:
    subprocess.run([sys.executable, "-m", module, *options], check=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/tiny/ablations"), help="folder of all runs")
    parser.add_argument("--steps", type=int, default=300, help="of each training, batches of 16")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=40, help="that each is measured on, one noise each")
    parser.add_argument("--sampling-steps", type=int, default=8)
    parser.add_argument("--only", help="one run, such as full-0; the table is of what is there")
    args = parser.parse_args(argv)
    runs = [(variant, seed) for seed in range(args.seeds) for variant in VARIANTS]
    names = [f"{variant}-{seed}" for variant, seed in runs]
    if args.only and args.only not in names:
        parser.error(f"--only {args.only}: must be one of {', '.join(names)}")
    readers = fit_readers()
    found: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for (variant, seed), name in zip(runs, names, strict=True):
        workdir = args.out / name
        if args.only in (None, name):
            train(variant, seed, workdir, args.steps)
            made = measure(workdir, readers, args.clips, args.sampling_steps)
        elif (workdir / FIGURES).exists():
            made = read_json(workdir / FIGURES)["figures"]
        else:
            continue
        found.setdefault(variant, {})[seed] = made
    rows = table(found)
    write_json(args.out / "table.json", {"steps": args.steps, "clips": args.clips, "rows": rows})
    for row in rows:
        print(
            f"{claim(row['id']).name:52} {row['variant']:24} {_told(row)}  less full: {_told(row['less_full'])}"
        )


def _told(summary: dict[str, Any]) -> str:
    if summary["mean"] is None:
        return "-"
    interval = summary["interval"]
    return f"{summary['mean']:.3f}" + ("" if interval is None else " [{:.3f}, {:.3f}]".format(*interval))


if __name__ == "__main__":
    main()
