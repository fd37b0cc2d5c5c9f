"""How long do a training step, a sampled clip and the theatre's rendering take, and how much memory at most?

    python benchmarks/tiny.py [--steps 20] [--batch-size 4]

Prints JSON: medians in seconds after compilation, the compile times, and the peak memory of the process.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable

import jax
import numpy as np

from mtv_jax import Pipeline
from mtv_jax.sharding.mesh import MeshConfig, make_mesh, put_batch
from mtv_jax.theatre import render_clip
from mtv_jax.training.optim import OptimizerConfig
from mtv_jax.training.steps import compile_init, compile_step, make_init, make_step, state_shardings
from mtv_jax.training.tasks import DenoiserLossConfig, denoiser_task

FEATURES = {"speech", "effects", "music"}


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - started


def peak_memory() -> int:
    """Bytes; the system counts in kilobytes, but for macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def random_batch(pipe: Pipeline, size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    clip, denoiser = pipe.defaults.clip, pipe.denoiser.config
    latents = pipe.noise(jax.random.split(jax.random.key(0), size), clip).shape
    features = (size, clip.num_frames, denoiser.controlnet.audio_layers, denoiser.controlnet.audio_channels)
    shapes = {
        "latents_mean": latents,
        "text": (size, pipe.defaults.text.text_length, denoiser.dit.text_embed_dim),
    }
    shapes |= dict.fromkeys(FEATURES, features)
    batch = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return batch | {"latents_logvar": np.full(latents, -6, np.float32)}


def training(pipe: Pipeline, steps: int, batch_size: int) -> dict[str, float]:
    task, config = denoiser_task(pipe.denoiser, DenoiserLossConfig(scaling_factor=1.0)), OptimizerConfig()
    mesh = make_mesh(MeshConfig())
    batch = put_batch(random_batch(pipe, batch_size), mesh)
    init = make_init(task, config, steps, 0, batch)
    _, shardings = state_shardings(init, mesh)
    state = compile_init(init, shardings)
    step = compile_step(make_step(task, config, steps, 0), shardings, mesh)
    times = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        state, metrics = step(state, batch)
        jax.block_until_ready(metrics)
        times.append(time.perf_counter() - started)
    return {"first_step_seconds": times[0], "step_seconds": statistics.median(times[1:])}


def sampling(pipe: Pipeline, repeats: int) -> dict[str, float]:
    def run() -> object:
        return pipe("a rabbit", progress=False).frames

    first = timed(run)
    return {
        "first_clip_seconds": first,
        "clip_seconds": statistics.median(timed(run) for _ in range(repeats)),
    }


def rendering(clips: int = 40) -> dict[str, float]:
    """Frames with their sound that one core renders in a second (by processor time, which threads share)."""
    render_clip(0, 0)
    started = time.process_time()
    frames = sum(len(render_clip(1, index).frames) for index in range(clips))
    return {"frames_per_core_second": frames / (time.process_time() - started)}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20, help="training steps to time (default: 20)")
    parser.add_argument("--batch-size", type=int, default=4, help="clips a step (default: 4)")
    parser.add_argument(
        "--clips", type=int, default=3, help="clips to sample, as the preset does by default (default: 3)"
    )
    args = parser.parse_args(argv)
    pipe = Pipeline.from_pretrained("tiny")
    size = sum(x.size for x in jax.tree.leaves(pipe.denoiser_params))
    result = {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "denoiser_parameters": size,
        "clip": [pipe.defaults.clip.num_frames, pipe.defaults.clip.height, pipe.defaults.clip.width],
        "batch_size": args.batch_size,
        "training": training(pipe, args.steps, args.batch_size),
        "sampling": sampling(pipe, args.clips),
        "theatre": rendering(),
    }
    result["peak_memory_bytes"] = peak_memory()
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
