"""MTV's Table 2 in miniature: what is lost without each part, on the theatre?

    python benchmarks/ablations.py --out runs/tiny/ablations    (after `make tiny`, of which it needs the first half)

Trains each variant from the same backbone, on all subsets at once, for the same steps and three seeds, and measures
it by the theatre suite. A run at a time, meant for twelve minutes on two cores (not measured yet); what was done is not
repeated, and what was stopped goes on. `--only VARIANT-SEED` does one. Writes `table.json` and prints a table: the
mean over the seeds that are there and its 95 % interval over trainings (Student's t), which is wide for three.
"""

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mtv_jax.io.files import write_json

VARIANTS = ("full", "no_separate_extraction", "no_separate_injection", "frozen_backbone")
SHOWN = (
    ("speech moves the speaker's lips", "correlation with loudness"),
    ("only the speaker's", "correlation of the other head"),
    ("effects trigger events", "F1 within a frame"),
    ("music sets the mood", "rank correlation of hue"),
    ("music sets the mood", "rank correlation of brightness"),
    ("text decides the look", "counts and colours right"),
)
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Number of seeds -> the 97.5 % point of Student's t of one fewer degrees of freedom."""


def train(variant: str, seed: int, workdir: Path, steps: int) -> None:
    """Trains, or goes on."""
    config = [f"--config.seed={seed}", f"--config.num_steps={steps}"]
    if variant != "full":
        config.append(f"--config.ablation={variant}")
    _run("mtv_jax.train", "--config", "configs/tiny/mixed.py", "--workdir", str(workdir), *config)


def measure(workdir: Path, clips: int, sampling_steps: int) -> dict[str, Any]:
    """The suite's results, made unless they are there."""
    results = workdir / "report" / "results.json"
    if not results.exists():
        options = [f"--clips={clips}", "--seeds=1", f"--steps={sampling_steps}", "--guidance-scale=1"]
        out = ["--preset", str(workdir), "--out", str(results.parent), "--videos", "0"]
        _run("mtv_jax.evaluate", "--suite", "theatre", *out, *options)
    return json.loads(results.read_text())


def table(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Mean and interval of each shown figure, by variant."""
    rows = []
    for (claim, name), (variant, results) in itertools.product(SHOWN, found.items()):
        values = [
            figure["value"]
            for result in results
            for figure in result["figures"]
            if (figure["claim"], figure["name"]) == (claim, name) and figure["value"] is not None
        ]
        if values:
            rows.append(
                {"claim": claim, "name": name, "variant": variant, "values": values} | _summary(values)
            )
    return rows


def _summary(values: Sequence[float]) -> dict[str, Any]:
    middle = mean(values)
    if len(values) not in STUDENT_T:
        return {"mean": middle, "interval": None}
    half = STUDENT_T[len(values)] * stdev(values) / len(values) ** 0.5
    return {"mean": middle, "interval": [middle - half, middle + half]}


def _run(module: str, *options: str) -> None:
    subprocess.run([sys.executable, "-m", module, *options], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/tiny/ablations"), help="folder of all runs")
    parser.add_argument("--steps", type=int, default=450, help="of each training, batches of 16")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=60, help="that each is measured on, one noise each")
    parser.add_argument("--sampling-steps", type=int, default=8)
    parser.add_argument("--only", help="one run, such as full-0; the table is of what is there")
    args = parser.parse_args()
    runs = [(variant, seed) for seed in range(args.seeds) for variant in VARIANTS]
    names = [f"{variant}-{seed}" for variant, seed in runs]
    if args.only and args.only not in names:
        parser.error(f"--only {args.only}: must be one of {', '.join(names)}")
    found: dict[str, list[dict[str, Any]]] = {}
    for (variant, seed), name in zip(runs, names, strict=True):
        workdir = args.out / name
        if args.only in (None, name):
            train(variant, seed, workdir, args.steps)
        elif not (workdir / "report" / "results.json").exists():
            continue
        found.setdefault(variant, []).append(measure(workdir, args.clips, args.sampling_steps))
    rows = table(found)
    write_json(args.out / "table.json", {"steps": args.steps, "clips": args.clips, "rows": rows})
    for row in rows:
        told = "" if row["interval"] is None else "  [{:.2f}, {:.2f}]".format(*row["interval"])
        print(f"{row['name']:34} {row['variant']:24} {row['mean']:.3f}{told}  of {len(row['values'])}")


if __name__ == "__main__":
    main()
