"""Makes the bundled weights of SyncSynth: what do a few minutes of fitting on its own renderer give?

    python recipes/train_syncsynth.py [--out mtv_jax/assets/syncsynth] [--steps 260] [--examples 2500]

Writes `model.safetensors`, `config.json` and `fit.json`, the record of the fit, and prints the latter. The theatre is
not seen: how the weights do there is for `benchmarks/syncsynth.py` to say.
"""

import argparse
import dataclasses
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mtv_jax.evaluation.syncsynth import SyncSynth, save_syncsynth
from mtv_jax.evaluation.syncsynth.fitting import FitConfig, fit_syncsynth
from mtv_jax.models.syncsynth import SyncSynthConfig


def record(config: FitConfig, losses: list[float]) -> dict[str, object]:
    times = os.times()
    return {
        **dataclasses.asdict(config),
        "first_loss": round(losses[0], 4),
        "last_loss": round(float(np.mean(losses[-50:])), 4),
        "processor_seconds": round(times.user + times.system),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("jax", "flax", "optax", "numpy")},
        },
    }


def main(argv: list[str] | None = None) -> None:
    defaults = FitConfig()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("mtv_jax/assets/syncsynth"))
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--examples", type=int, default=defaults.examples)
    args = parser.parse_args(argv)
    config = dataclasses.replace(defaults, steps=args.steps, examples=args.examples)
    network = SyncSynthConfig(fps=config.fps)
    params, losses = fit_syncsynth(config, network)
    fit = record(config, losses)
    save_syncsynth(args.out, SyncSynth(network, params, fit))
    print(json.dumps(fit, indent=2))


if __name__ == "__main__":
    main()
