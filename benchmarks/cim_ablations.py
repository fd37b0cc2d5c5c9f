"""Maestro's Tables 1 and 2 in miniature: what do lambda_1 and the number of queries do to the CIM?

    python -m benchmarks.cim_ablations --out runs/maestro/ablations    (after `make maestro`, whose shards it needs)

Trains a Condition Injection Module for each value, with the rest of `configs/maestro/cim.py:tiny`, for few steps, and
measures it by the objects suite on pairs. What was done is not repeated, and what was stopped resumes; `--only` does
some, and the rows of another call are kept. Writes `table.json` and `table.md`: means over clips with 95 % intervals,
which do not cover how trainings differ (`--seed` with another `--out` gives another one).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.maestro import cells, table
from mtv_jax.evaluation.objects.options import ObjectsOptions
from mtv_jax.evaluation.objects.pipeline import evaluate_objects
from mtv_jax.io.files import read_json_object, write_json, write_text
from mtv_jax.pipelines.presets import PIPELINE

LAMBDAS, QUERIES = (0.0, 0.5, 0.7, 0.9, 1.0), (1, 5, 10, 20)
VARIANTS = {
    **{f"lambda_1 {value:g}": f"--config.loss.lambda_1={value:g}" for value in LAMBDAS},
    **{f"N_Q {count}": f"--config.model.overrides.cim.num_queries={count}" for count in QUERIES},
}
"""Name -> what differs from the config, whose own values are .5 and 5."""
SHOWN = ("accuracy", "all_right", "overlap", "changes_f1", "brightness")
DISTANCE, LAST = "text_distance", 50
"""The loss's distance of the tokens from the label's text, over the last steps of a training."""


def train(name: str, seed: int, steps: int, workdir: Path) -> None:
    """Trains, or resumes. Exits if the training is stopped."""
    config = [VARIANTS[name], f"--config.seed={seed}", f"--config.num_steps={steps}"]
    command = [sys.executable, "-m", "mtv_jax.train", "--config", "configs/maestro/cim.py:tiny", *config]
    subprocess.run([*command, "--workdir", str(workdir)], check=True)
    if not (workdir / PIPELINE).is_dir():
        raise SystemExit(f"{workdir}: stopped; run the same command again to go on")


def text_distance(workdir: Path) -> dict[str, Any]:
    """The cell of `DISTANCE`."""
    steps = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    found = [step["text_sound"] for step in steps if "text_sound" in step][-LAST:]
    return {"value": sum(found) / len(found), "interval": None, "clips": None, "ceilings": {}}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/maestro/ablations"), help="folder of all runs")
    parser.add_argument("--steps", type=int, default=400, help="of each training, batches of 8")
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    parser.add_argument("--clips", type=int, default=40, help="pairs that each is measured on")
    parser.add_argument("--only", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS))
    args = parser.parse_args(argv)
    file, how = args.out / "table.json", {"steps": args.steps, "seed": args.seed, "clips": args.clips}
    before = read_json_object(file) if file.exists() else {"rows": {}, **how}
    if changed := [name for name, value in how.items() if before[name] != value]:
        parser.error(f"{file}: its rows have other --{', --'.join(changed)}; give another --out")
    rows = before["rows"]
    for name in args.only:
        workdir = args.out / name.replace(" ", "-")
        train(name, args.seed, args.steps, workdir)
        options = ObjectsOptions(str(workdir), clips=args.clips, without_controls=True)
        report, _ = evaluate_objects(options, workdir / "report", overwrite=True)
        rows[name] = cells(report, SHOWN) | {DISTANCE: text_distance(workdir)}
        rows = {name: rows[name] for name in VARIANTS if name in rows}
        write_json(file, {**how, "rows": rows})
        write_text(args.out / "table.md", table(rows, (*SHOWN, DISTANCE)))
    print(table(rows, (*SHOWN, DISTANCE)))


if __name__ == "__main__":
    main()
