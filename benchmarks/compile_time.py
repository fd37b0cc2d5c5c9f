"""Does compiling the train step take longer for a deeper network?

    python benchmarks/compile_time.py [--layers 4,16] [--rounds 3]

Compiles loss and gradient of the tiny preset's MTV network, rematerialised by block, at each depth in turn, without
the cache. Prints JSON: median seconds by depth, and the largest over the smallest (at most 1.3 is the aim).
"""

import argparse
import json
import statistics
import time
from dataclasses import astuple
from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.models.denoisers import denoiser_inputs
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.planning.plans import latent_size


def compile_seconds(layers: int) -> float:
    """Seconds of lowering and compiling the gradient of a network with so many layers."""
    jax.clear_caches()
    model: Any = make_model("mtv", make_config("mtv", "tiny", {"dit": {"num_layers": layers}}), remat="block")
    inputs = denoiser_inputs(model, astuple(latent_size(model)))
    loss = jax.grad(lambda params, *rest: jnp.sum(model.apply(params, *rest) ** 2))
    begun = time.perf_counter()
    jax.jit(loss).lower(parameter_shapes(model), *inputs).compile()
    return time.perf_counter() - begun


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", default="4,16", help="depths, by commas (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="compilations of each (default: %(default)s)")
    args = parser.parse_args(argv)
    depths = [int(n) for n in args.layers.split(",")]
    times: dict[int, list[float]] = {depth: [] for depth in depths}
    for _ in range(args.rounds):
        for depth in depths:
            times[depth].append(compile_seconds(depth))
    medians = {depth: statistics.median(seconds) for depth, seconds in times.items()}
    ratio = max(medians.values()) / min(medians.values())
    print(json.dumps({"jax": jax.__version__, "seconds": medians, "ratio": ratio}, indent=2))


if __name__ == "__main__":
    main()
