"""Four simulated devices train a Condition Injection Module as one does, with rows and weights split."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
    import json, sys
    sys.path.insert(0, "tests")
    import jax
    from cim_networks import make_cim_batch, make_cim_network
    from mtv_jax.sharding.mesh import MeshConfig, make_mesh, put_batch
    from mtv_jax.sharding.rules import tree_shardings
    from mtv_jax.training import steps
    from mtv_jax.training.cim_task import CIMLossConfig, cim_task
    from mtv_jax.training.optim import OptimizerConfig

    model, params = make_cim_network()
    params = jax.device_get(params)
    task = cim_task(model, CIMLossConfig(scaling_factor=1.0))
    optimizer = OptimizerConfig(1e-3, schedule="constant", ema_decay=0.0, clip_norm=1.0, trainable=("cim/.*",))
    batches = [make_cim_batch(4, seed) for seed in range(2)]
    init = steps.make_init(task, optimizer, 2, 0, batches[0])

    def run(mesh):
        _, shardings = steps.state_shardings(init, mesh)
        state = steps.compile_init(init, shardings, jax.device_put(params, tree_shardings(params, mesh)))
        step = steps.compile_step(steps.make_step(task, optimizer, 2, 0), shardings, mesh)
        out = []
        for batch in batches:
            state, metrics = step(state, put_batch(batch, mesh))
            out.append([float(metrics["loss"]), float(metrics["grad_norm"])])
        return out, state

    one, _ = run(make_mesh(MeshConfig(data=1), jax.devices()[:1]))
    many, state = run(make_mesh(MeshConfig(data=2, fsdp=2)))
    kernels = (
        state.params["params"]["cim"]["blocks"]["attention"]["q"]["kernel"],
        state.frozen["params"]["unet"]["middle_0"]["spatial"]["blocks_0"]["attn2"]["to_k"]["kernel"],
        state.opt_state[1].mu["params"]["cim"]["proj_out"]["kernel"],
    )
    shards = [[x.shape, x.addressable_shards[0].data.shape] for x in kernels]
    print(json.dumps({"one": one, "many": many, "shards": shards}))
"""


@pytest.mark.slow
def test_split_rows_and_weights_give_the_losses_of_one_device():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=3600, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for (loss, norm), (want_loss, want_norm) in zip(found["many"], found["one"], strict=True):
        assert loss == pytest.approx(want_loss, rel=1e-4)
        assert norm == pytest.approx(want_norm, rel=1e-3)
    assert found["one"][0] != found["one"][1]
    for whole, part in found["shards"]:
        assert [n // m for n, m in zip(whole, part, strict=True) if n != m] == [2]
