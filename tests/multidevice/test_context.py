"""Tokens split over devices: attention, and the whole train step, give what one device gives."""

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
    import jax, jax.numpy as jnp, numpy as np
    from mtv_jax.io.errors import UserError
    from mtv_jax.models.registry import make_config, make_model
    from mtv_jax.ops import attention as module
    from mtv_jax.ops.attention import attention
    from mtv_jax.sharding.mesh import MeshConfig, make_mesh, put_batch
    from mtv_jax.training import steps
    from mtv_jax.training.optim import OptimizerConfig
    from mtv_jax.training.tasks import DenoiserLossConfig, denoiser_task

    module._SPLIT_QUERIES = 10  # more than an interval has tokens of sound
    split = make_mesh(MeshConfig(data=1, fsdp=2, tensor=1, context=4))
    alone = make_mesh(MeshConfig(data=1), jax.devices()[:1])
    out = {}

    qkv = [jax.random.normal(key, (2, 30, 4, 16)) for key in jax.random.split(jax.random.key(0), 3)]
    def attend(q, k, v):
        y = attention(q, k, v)
        return y, jax.grad(lambda *x: jnp.sum(jnp.sin(attention(*x))), (0, 1, 2))(q, k, v)
    plain = jax.jit(attend)(*qkv)
    for name, sizes in {"context": (1, 2, 1, 4), "tensor": (1, 2, 2, 2)}.items():
        with jax.set_mesh(make_mesh(MeshConfig(*sizes))):
            compiled = jax.jit(attend).lower(*qkv).compile()
            meshed = compiled(*qkv)
        out[name] = max(jax.tree.leaves(jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), plain, meshed)))
        out[name + " exchanges"] = "all-to-all" in compiled.as_text()
    try:
        with jax.set_mesh(make_mesh(MeshConfig(1, 1, 1, 8))):
            attention(*qkv)
    except UserError as error:
        out["error"] = str(error)

    dit = {"num_layers": 2, "num_attention_heads": 4, "patch_size": 2}
    config = make_config("mtv", "tiny", {"dit": dit, "controlnet": {"temporal_compression_ratio": 4}})
    task = denoiser_task(make_model("mtv", config), DenoiserLossConfig(scaling_factor=1.0))
    rng = np.random.default_rng(0)
    shapes = {"latents_mean": (2, 4, 4, 8), "latents_logvar": (2, 4, 4, 8), "text": (6, 64)}
    shapes |= {name: (5, 4, 64) for name in ("speech", "effects", "music")}
    batch = {name: rng.normal(size=(2, *shape)).astype(np.float32) for name, shape in shapes.items()}
    optimizer = OptimizerConfig(learning_rate=1e-3, schedule="constant", clip_norm=1.0)
    init = steps.make_init(task, optimizer, 3, 0, batch)
    first = jax.device_get(steps.compile_init(init, steps.state_shardings(init, split)[1]))
    for name, mesh in (("one", alone), ("eight", split)):
        shardings = steps.state_shardings(init, mesh)[1]
        step = steps.compile_step(steps.make_step(task, optimizer, 3, 0), shardings, mesh)
        _, metrics = step(jax.device_put(first, shardings), put_batch(batch, mesh))
        out[name] = [float(metrics["loss"]), float(metrics["grad_norm"])]
    print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def found():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=3600, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("mesh", ["context", "tensor"])
def test_attention_and_its_gradient_are_those_of_one_device(found, mesh):
    assert found[f"{mesh} exchanges"]
    assert found[mesh] < 1e-5


def test_heads_that_cannot_be_shared_out_are_told(found):
    assert found["error"] == "4 attention heads on a mesh of tensor 1 x context 8: 8 must divide the heads"


def test_a_train_step_with_split_tokens_is_that_of_one_device(found):
    assert found["eight"] == pytest.approx(found["one"], rel=1e-5)
