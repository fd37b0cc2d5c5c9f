"""What does a GPU do with MTV: attention, precision, a training step and a sampling step of full width, the decoder?

    python benchmarks/gpu.py --out benchmarks/results/gpu/h100.json [--only attention,step]

Each part runs in its own process, so that its peak memory is measured alone, for at most `--limit` seconds. The JSON
is rewritten after each part; of a part that fails it holds the last line of the error, and the exit code is 1. Weights
and inputs are random, but for the preset `tiny` in the part `preset`. Times are medians of runs after the first.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.models.denoisers import denoiser_inputs
from mtv_jax.models.mtv import MTV
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import init_key, init_params, random_params
from mtv_jax.models.vae3d import Tiling, decode_stream, tiled_decode
from mtv_jax.names import TRACKS
from mtv_jax.ops.attention import attention
from mtv_jax.planning import plans
from mtv_jax.planning.chips import peak_flops, topology
from mtv_jax.planning.flops import forward_flops
from mtv_jax.sharding.mesh import MeshConfig, make_mesh
from mtv_jax.training import steps
from mtv_jax.training.build import make_task
from mtv_jax.training.configs import TrainConfig, load_train_config, train_config

TOKENS, HEADS, HEAD_DIM = 13 * 30 * 45 + 226, 48, 64
"""Of a clip of 49 frames at 480 x 720 and its text, in CogVideoX-5B."""
CONFIG = Path(__file__).parent.parent / "configs" / "stage3.py"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="JSON file to write (default: print only)")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by commas (default: %(default)s)")
    parser.add_argument(
        "--limit", type=int, default=150, help="seconds a part may take (default: %(default)s)"
    )
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.part:
        print(json.dumps(PARTS[args.part]()))
        return
    names = args.only.split(",")
    if unknown := set(names) - set(PARTS):
        parser.error(f"--only {', '.join(sorted(unknown))}: parts are {', '.join(PARTS)}")
    results = {}
    for name in names:
        begun = time.perf_counter()
        results[name] = _run_part(name, args.limit)
        results[name]["wall_seconds"] = round(time.perf_counter() - begun, 1)
        print(name, json.dumps(results[name]), flush=True)
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(results, indent=2) + "\n")
    sys.exit(any("error" in result for result in results.values()))


def _run_part(name: str, limit: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--part", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"error": f"took longer than {limit} s"}
    if done.returncode:
        sys.stderr.write(done.stderr)
        return {"error": done.stderr.strip().splitlines()[-1][:500]}
    return json.loads(done.stdout.splitlines()[-1])


def _seconds(run: Callable[[], Any], rounds: int = 5) -> tuple[float, float]:
    """Seconds of the first call, which compiles, and the median of those after it."""
    times = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - begun)
    return times[0], statistics.median(times[1:])


def _peak() -> float | None:
    """GiB that the process has had on the device at most; None where the platform does not count."""
    stats = jax.devices()[0].memory_stats()
    return stats["peak_bytes_in_use"] / 2**30 if stats else None


def _error(found: Any, right: Any) -> float:
    """Norm of the difference over the norm of what is right."""
    found, right = (np.asarray(x, np.float64) for x in (found, right))
    return float(np.linalg.norm(found - right) / np.linalg.norm(right))


def device() -> dict[str, Any]:
    """The card, and what it does of the two things that everything is made of."""
    here = jax.devices()[0]
    a, b = (jax.random.normal(jax.random.key(i), (8192, 8192), jnp.bfloat16) for i in range(2))
    _, product = _seconds(partial(jax.jit(jnp.matmul), a, b), 20)
    x = jnp.ones(2**30, jnp.float32)
    _, copy = _seconds(partial(jax.jit(lambda x: x + 1), x), 20)
    stats = here.memory_stats() or {}
    return {
        "kind": here.device_kind,
        "jax": jax.__version__,
        "bytes_limit": stats.get("bytes_limit"),
        "data_sheet_tflops": (peak_flops(here.device_kind) or 0) / 1e12,
        "matmul_tflops": 2 * 8192**3 / product / 1e12,
        "copy_tb_per_s": 2 * x.nbytes / copy / 1e12,
    }


def attention_part() -> dict[str, Any]:
    """Time at the length of a full clip; errors against float32 at an eighth of it."""
    found: dict[str, Any] = {}
    for backend in ("cudnn", "chunked"):
        run = partial(attention, backend=backend)
        found[backend] = _attention_times(run) | _attention_errors(run)
    found["auto_is_cudnn"] = "cudnn" in jax.jit(attention).lower(*_qkv(TOKENS)).as_text()
    found["peak_gib"] = _peak()
    return found


def _qkv(tokens: int, heads: int = HEADS, dtype: Any = jnp.bfloat16) -> list[jax.Array]:
    keys = jax.random.split(jax.random.key(tokens), 3)
    return [jax.random.normal(key, (1, tokens, heads, HEAD_DIM), jnp.float32).astype(dtype) for key in keys]


def _attention_times(run: Callable[..., Any]) -> dict[str, Any]:
    inputs = _qkv(TOKENS)
    flops = 4 * TOKENS**2 * HEADS * HEAD_DIM
    _, forward = _seconds(partial(jax.jit(run), *inputs))
    gradients = jax.jit(jax.grad(lambda *x: jnp.sum(run(*x).astype(jnp.float32) ** 2), (0, 1, 2)))
    _, both = _seconds(partial(gradients, *inputs), 3)
    # A backward pass is five products where the forward pass is two.
    return {
        "forward_seconds": forward,
        "forward_tflops": flops / forward / 1e12,
        "forward_and_backward_seconds": both,
        "forward_and_backward_tflops": 3.5 * flops / both / 1e12,
    }


def _attention_errors(run: Callable[..., Any]) -> dict[str, float]:
    inputs = _qkv(TOKENS // 8, 8)
    weight = jax.random.normal(jax.random.key(9), inputs[0].shape)

    def both(run: Callable[..., Any], inputs: list[jax.Array]) -> Any:
        loss = jax.grad(lambda *x: jnp.sum(run(*x).astype(jnp.float32) * weight), (0, 1, 2))
        return run(*inputs), *loss(*inputs)

    with jax.default_matmul_precision("highest"):
        right = both(partial(attention, backend="xla"), [x.astype(jnp.float32) for x in inputs])
    names = ("output_error", "dq_error", "dk_error", "dv_error")
    return {name: _error(x, y) for name, x, y in zip(names, both(run, inputs), right, strict=True)}


def precision() -> dict[str, Any]:
    """Errors on the GPU against float32 on this machine's processor, as norm of the difference over the norm."""
    processor = jax.devices("cpu")[0]
    found = {}
    for name, (make, inputs, method) in _networks().items():
        with jax.default_device(processor):
            params = random_params(make(jnp.float32), 0)
            right = jax.jit(partial(make(jnp.float32).apply, method=method))(params, *inputs)
        errors = {}
        for title, dtype, how in (
            ("float32, highest", jnp.float32, "highest"),
            ("float32, default", jnp.float32, "default"),
            ("bfloat16", jnp.bfloat16, "default"),
        ):
            with jax.default_matmul_precision(how):
                output = jax.jit(partial(make(dtype).apply, method=method))(
                    *jax.device_put((params, *inputs), jax.devices()[0])
                )
            errors[title] = _error(output, right)
        found[name] = errors
    return found


def _networks() -> dict[str, Any]:
    """Small networks whose attention is long enough for the kernels, with inputs."""
    keys = iter(jax.random.split(jax.random.key(1), 8))
    mtv = make_config("mtv", "mtv_5b", {"dit": {"num_layers": 2, "num_attention_heads": 8}})
    sound = jax.random.normal(next(keys), (3, 1, 49, 12, 768))
    return {
        "MTV, 2 layers of width 512, 3328 tokens": (
            lambda dtype: make_model("mtv", mtv, dtype=dtype),
            (
                jax.random.normal(next(keys), (1, 13, 32, 32, mtv.dit.out_channels)),
                jnp.full(1, 500.0),
                Conditions(
                    jax.random.normal(next(keys), (1, 226, 4096)), dict(zip(TRACKS, sound, strict=True))
                ),
            ),
            None,
        ),
        "decoder of the autoencoder, full width, 2 latents of 16x16": (
            lambda dtype: make_model("vae3d", make_config("vae3d", "cogvideox_5b"), dtype=dtype),
            (jax.random.normal(next(keys), (1, 2, 16, 16, 16)),),
            "decode",
        ),
        "wav2vec2-base, 2 s": (
            lambda dtype: make_model("wav2vec2", make_config("wav2vec2", "base_960h"), dtype=dtype),
            (jax.random.normal(next(keys), (1, 32000)),),
            None,
        ),
    }


def step() -> dict[str, Any]:
    """Training steps of stage 3 at full width and clip size, one clip, at two depths: what a layer takes.

    The controlnet's 3.9 billion parameters of any depth do not train here, and no average is kept: with Adam's moments
    they are more than 80 GB, as `mtv_jax.plan` says.
    """
    found = {str(layers): _step(layers) for layers in (4, 8)}
    few, many = found.values()
    layer = (many["seconds"] - few["seconds"]) / 4
    found["seconds_per_layer"] = layer
    found["seconds_at_42_layers"] = many["seconds"] + 34 * layer
    return found


def _config(layers: int) -> TrainConfig:
    """Stage 3 at one clip, with fewer layers, of which the attention and the injection train."""
    values = load_train_config(str(CONFIG), {"model.overrides.dit.num_layers": str(layers)}).to_dict()
    values["data"] |= {"dir": "none", "batch_size": 1}
    trainable = [rule for rule in values["optimizer"]["trainable"] if not rule.startswith("controlnet")]
    values["optimizer"] |= {"ema_decay": 0.0, "trainable": tuple(trainable)}
    return train_config(values)


def _step(layers: int) -> dict[str, Any]:
    config = _config(layers)
    model, task = make_task(plans.with_scale(config))
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    size = plans.latent_size(model)
    shapes = plans.training_batch(model, size, 1)
    init = steps.make_init(task, config.optimizer, 10, 0, shapes)
    _, shardings = steps.state_shardings(init, mesh)
    begun = time.perf_counter()
    state = jax.block_until_ready(steps.compile_init(init, shardings))
    initialised = time.perf_counter() - begun
    keys = jax.random.split(jax.random.key(2), len(shapes))
    batch = {
        name: jax.random.normal(key, x.shape) for key, (name, x) in zip(keys, shapes.items(), strict=True)
    }
    run = steps.compile_step(steps.make_step(task, config.optimizer, 10, 0), shardings, mesh)
    times, losses = [], []
    for _ in range(6):
        begun = time.perf_counter()
        with jax.transfer_guard("disallow"):  # as in the training loop
            state, metrics = run(state, batch)
        losses.append(float(metrics["loss"]))
        times.append(time.perf_counter() - begun)
    seconds, work = statistics.median(times[1:]), plans.training_work(config, model, size)
    peak = peak_flops(jax.devices()[0].device_kind) or float("nan")
    return {
        "parameters": sum(x.size for x in jax.tree.leaves(state.all_params())),
        "seconds": seconds,
        "first_call_seconds": times[0],
        "initialising_seconds": initialised,
        "tflop_needed": work.needed / 1e12,
        "share_of_peak": work.needed / seconds / peak,
        "share_of_peak_with_recomputation": work.run / seconds / peak,
        "losses": losses,
        "peak_gib": _peak(),
        "planned_gib": _planned(config),
    }


def _planned(config: TrainConfig) -> float:
    """What `mtv_jax.plan` estimates for this step on one such card."""
    plan = plans.training_plans(config, topology("h100:1"))[0]
    return plan.program.peak / 2**30


def denoise() -> dict[str, Any]:
    """A sampling step of the whole MTV-5B, bfloat16, with guidance (two rows)."""
    model: Any = make_model("mtv", make_config("mtv", "mtv_5b"), dtype=jnp.bfloat16)
    params = jax.jit(lambda key: jax.tree.map(lambda x: x.astype(jnp.bfloat16), init_params(model, key)))(
        init_key(0)
    )
    size = plans.latent_size(model)
    inputs = _denoiser_inputs(model, 2)
    compiled, seconds = _seconds(partial(jax.jit(model.apply), params, *inputs))
    work, peak = 2 * forward_flops(model, size).total, peak_flops(jax.devices()[0].device_kind)
    return {
        "parameters": sum(x.size for x in jax.tree.leaves(params)),
        "first_call_seconds": compiled,
        "seconds": seconds,
        "seconds_for_50_steps": 50 * seconds,
        "share_of_peak": work / seconds / (peak or float("nan")),
        "peak_gib": _peak(),
    }


def _denoiser_inputs(model: MTV, rows: int) -> tuple[Any, ...]:
    """Random latents, text and tracks, and the timesteps 500."""
    shapes, tree = jax.tree.flatten(denoiser_inputs(model, astuple(plans.latent_size(model)), rows=rows))
    keys = jax.random.split(jax.random.key(3), len(shapes))
    arrays = [jax.random.normal(key, x.shape) for key, x in zip(keys, shapes, strict=True)]
    latents, _, conditions = jax.tree.unflatten(tree, arrays)
    return latents, jnp.full(rows, 500.0), conditions


def decode() -> dict[str, Any]:
    """The decoder on a clip of 49 frames at 480 x 720 in bfloat16, in tiles and whole."""
    config = make_config("vae3d", "cogvideox_5b")
    model: Any = make_model("vae3d", config, dtype=jnp.bfloat16)
    params = random_params(model, 0)
    latents = jax.random.normal(jax.random.key(4), (1, 13, 60, 90, config.latent_channels))
    found = {}
    ways: dict[str, Callable[[], Any]] = {
        "tiled": lambda: tiled_decode(model, params, latents, Tiling.of(config)),
        "whole": lambda: list(decode_stream(model, params, latents)),
    }
    for name, run in ways.items():  # in this order: the peak only grows
        first, seconds = _seconds(run, 2)
        found[name] = {"first_call_seconds": first, "seconds": seconds, "peak_gib": _peak()}
    return found


def preset() -> dict[str, Any]:
    """The preset `tiny` on the GPU: seconds a clip, and how far its pictures are from those of the processor."""
    from mtv_jax.pipelines.base import Pipeline

    scene = Path(__file__).parent.parent / "mtv_jax/assets/scenes/bell"
    prompt = json.loads((scene / "scene.json").read_text())["prompt"]
    sound: dict[str, Any] = {name: scene / f"{name}.flac" for name in TRACKS}
    frames, times = {}, []
    for where in ("gpu", "cpu"):
        with jax.default_device(jax.devices(where)[0]):
            pipe = Pipeline.from_pretrained("tiny")
            for _ in range(3 if where == "gpu" else 1):
                begun = time.perf_counter()
                frames[where] = np.asarray(pipe(prompt, **sound, progress=False).frames, float)
                times.append(time.perf_counter() - begun)
    difference = np.abs(frames["gpu"] - frames["cpu"])
    return {
        "first_call_seconds": times[0],
        "seconds": min(times[1:3]),
        "mean_difference_of_255": float(difference.mean()),
        "psnr_db": float(10 * np.log10(255**2 / np.mean(difference**2))),
    }


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "device": device,
    "attention": attention_part,
    "precision": precision,
    "step": step,
    "denoise": denoise,
    "decode": decode,
    "preset": preset,
}

if __name__ == "__main__":
    main()
