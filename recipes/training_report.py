"""How were these weights trained? Losses, times, seeds and versions of a row of runs, as JSON.

    python recipes/training_report.py runs/tiny/vae runs/tiny/backbone runs/stage?-tiny --out training.json

Times are sums of the steps' times (with compilation, without saving, and without steps that a killed run did twice);
losses are means over a tenth of the run. Versions and cores are those of this command: run it where the runs ran.
"""

import argparse
import importlib.metadata
import json
import os
import platform
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

from mtv_jax.io.files import write_json
from mtv_jax.training.checkpoint import Checkpoints
from mtv_jax.training.metrics import METRICS_FILE

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
PARTS = 10
"""Parts of a run; the report has the mean loss of each."""
NOTED = ("loss", "reconstruction", "psnr", "grad_norm")


def report(workdir: Path) -> dict[str, Any]:
    """What one run did."""
    lines = [json.loads(line) for line in (workdir / METRICS_FILE).read_text().splitlines()]
    rows = [line for line in lines if "loss" in line]
    with Checkpoints(workdir, read_only=True) as checkpoints:
        config = checkpoints.run(checkpoints.latest() or 0)["config"]
    ends = [round(len(rows) * part / PARTS) for part in range(PARTS + 1)]
    parts = [rows[first:last] for first, last in pairwise(ends) if first < last]
    return {
        "steps": rows[-1]["step"],
        "batch_size": config["data"]["batch_size"],
        "learning_rate": config["optimizer"]["learning_rate"],
        "seed": config["seed"],
        "data": config["data"].get("shards"),
        "mixture": {k: v for k, v in (config["data"].get("mixture") or {}).items() if v},
        "minutes": round(sum(line["step_time"] for line in lines if "step_time" in line) / 60, 1),
        "means": [
            {"step": part[-1]["step"]}
            | {key: round(mean(row[key] for row in part), 4) for key in NOTED if key in part[0]}
            for part in parts
        ],
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("workdir", nargs="+", type=Path, help="training directories, in their order")
    parser.add_argument("--out", type=Path, default=Path("training.json"), help="JSON file to write")
    args = parser.parse_args(argv)
    runs = {str(workdir): report(workdir) for workdir in args.workdir}
    summary = {
        "minutes": round(sum(run["minutes"] for run in runs.values()), 1),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "runs": runs,
    }
    write_json(args.out, summary)
    print(f"{len(runs)} runs of {summary['minutes']} minutes: {args.out}")


if __name__ == "__main__":
    main()
