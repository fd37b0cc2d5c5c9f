"""Sixteen simulated devices train a model of four speakers as one does: rows, weights, heads and tokens are split."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
    import json
    import jax, numpy as np
    from mtv_jax.models.registry import make_config, make_model
    from mtv_jax.names import control_tracks
    from mtv_jax.ops import attention
    from mtv_jax.sharding.mesh import MeshConfig, make_mesh, put_batch
    from mtv_jax.training import steps
    from mtv_jax.training.optim import OptimizerConfig
    from mtv_jax.training.tasks import DenoiserLossConfig, denoiser_task

    dit = {"num_layers": 2, "num_attention_heads": 4, "patch_size": 2}
    control = {"temporal_compression_ratio": 4, "context_tokens": 2, "num_speakers": 4}
    config = make_config("mtv", "tiny", {"dit": dit, "controlnet": control})
    task = denoiser_task(make_model("mtv", config), DenoiserLossConfig(scaling_factor=1.0))
    rng = np.random.default_rng(0)
    shapes = {"latents_mean": (2, 4, 4, 8), "latents_logvar": (2, 4, 4, 8), "text": (5, 64)}
    shapes |= {name: (5, 4, 64) for name in control_tracks(4)}
    batches = [
        {name: rng.normal(size=(4, *shape)).astype(np.float32) for name, shape in shapes.items()}
        for _ in range(3)
    ]
    optimizer = OptimizerConfig(learning_rate=1e-3, schedule="constant", clip_norm=1.0)

    init = steps.make_init(task, optimizer, 3, 0, batches[0])
    alone = make_mesh(MeshConfig(data=1), jax.devices()[:1])
    split = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2, context=2))
    first = jax.device_get(steps.compile_init(init, steps.state_shardings(init, alone)[1]))

    def run(mesh):
        _, shardings = steps.state_shardings(init, mesh)
        state = jax.device_put(first, shardings)
        step = steps.compile_step(steps.make_step(task, optimizer, 3, 0), shardings, mesh)
        out = []
        for batch in batches:
            state, metrics = step(state, put_batch(batch, mesh))
            out.append([float(metrics["loss"]), float(metrics["grad_norm"])])
        return out, state

    one, _ = run(alone)
    attention._SPLIT_QUERIES = 12  # more than an interval has tokens of sound
    many, state = run(split)
    blocks = state.params["params"]["transformer"]["blocks"]
    kernel, spoken = blocks["attn1"]["to_q"]["kernel"], blocks["injection"]["attn_speech4"]["to_q"]["kernel"]
    moment = state.opt_state[1].mu["params"]["transformer"]["blocks"]["ff"]["up"]["kernel"]
    shards = [[x.shape, x.addressable_shards[0].data.shape] for x in (kernel, spoken, moment)]
    print(json.dumps({"one": one, "many": many, "shards": shards}))
"""


@pytest.fixture(scope="module")
def runs():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=16"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=3600, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_2_data_2_fsdp_2_tensor_2_context_give_the_losses_of_one_device(runs):
    for (loss, norm), (want_loss, want_norm) in zip(runs["many"], runs["one"], strict=True):
        assert loss == pytest.approx(want_loss, rel=1e-4)
        assert norm == pytest.approx(want_norm, rel=1e-3)
    assert runs["one"][0] != runs["one"][1]


def test_weights_and_moments_are_split_over_fsdp_and_tensor(runs):
    for whole, part in runs["shards"]:
        assert [n // m for n, m in zip(whole, part, strict=True) if n != m] == [2, 2]
