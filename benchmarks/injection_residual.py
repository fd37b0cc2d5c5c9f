"""What does MTV's Eq. 2 do to the letter? A few steps of the tiny model with and without the residual.

    python -m mtv_jax.curate theatre --clips 200 --out runs/tiny/residual/theatre
    python benchmarks/injection_residual.py --out runs/tiny/residual --data runs/tiny/residual/theatre

Each variant trains the recipe of `configs/tiny/mixed.py` from the backbone of the preset `tiny` with a new controlnet,
and is measured on clips of the theatre: the loss at the beginning and at the end, lips and events. Writes
`residual.json`. Some minutes a variant; what was done is not repeated.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from ablations import measure

from mtv_jax.evaluation.theatre_readers import fit_readers
from mtv_jax.io.files import write_json
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.training.metrics import METRICS_FILE

VARIANTS = {
    "residual": {},
    "residual, output projections zero at first": {"zero_init_injection": "true"},
    "no residual (Eq. 2)": {"injection_residual": "false"},
}
SHOWN = (
    ("speech moves the speaker's lips", "correlation with loudness"),
    ("effects trigger events", "F1 within a frame"),
)
WARMUP = 10
ENDS = 10
"""Steps that the loss of the beginning and of the end is the mean of."""


def backbone(folder: Path) -> Path:
    """A pipeline folder that has the preset's transformer and nothing else."""
    link = folder / "transformer"
    if not link.exists():
        folder.mkdir(parents=True, exist_ok=True)
        link.symlink_to(pipeline_folder("tiny") / "transformer")
    return folder


def train(workdir: Path, fields: dict[str, str], args: argparse.Namespace) -> list[float]:
    """Trains one variant; the loss of each step."""
    flags = {
        "init_from": backbone(args.out / "backbone"),
        "data.dir": args.data,
        "data.batch_size": args.batch_size,
        "num_steps": args.steps,
        "optimizer.warmup_steps": WARMUP,
    }
    flags |= {f"model.overrides.controlnet.{field}": value for field, value in fields.items()}
    command = [sys.executable, "-m", "mtv_jax.train", "--config", "configs/tiny/mixed.py"]
    command += ["--workdir", str(workdir), *(f"--config.{key}={value}" for key, value in flags.items())]
    subprocess.run(command, check=True)
    lines = [json.loads(line) for line in (workdir / METRICS_FILE).read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/tiny/residual"), help="folder of all runs")
    parser.add_argument("--data", type=Path, default=Path("runs/tiny/residual/theatre"), help="shards")
    parser.add_argument("--steps", type=int, default=80, help="of each training")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--clips", type=int, default=8, help="that each is measured on, one noise each")
    parser.add_argument("--sampling-steps", type=int, default=8)
    args = parser.parse_args(argv)
    readers = fit_readers()
    found: dict[str, dict[str, Any]] = {}
    for number, (name, fields) in enumerate(VARIANTS.items()):
        workdir = args.out / f"variant{number}"
        losses = train(workdir, fields, args)
        figures = measure(workdir, readers, args.clips, args.sampling_steps)
        value = {(f["claim"], f["name"]): f["value"] for f in figures}
        found[name] = {
            "first loss": losses[0],
            f"loss, first {ENDS} steps": mean(losses[:ENDS]),
            f"loss, last {ENDS} steps": mean(losses[-ENDS:]),
            **{f"{claim}: {figure}": value[claim, figure] for claim, figure in SHOWN},
        }
        print(json.dumps({name: found[name]}), flush=True)
    settings = {name: getattr(args, name) for name in ("steps", "batch_size", "clips", "sampling_steps")}
    write_json(args.out / "residual.json", {**settings, "cores": os.cpu_count(), "variants": found})


if __name__ == "__main__":
    main()
