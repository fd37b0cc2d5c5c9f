"""Tokens split over devices: attention gives what one device gives (`test_mesh_training.py`: so does a train step)."""

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
    import jax, jax.numpy as jnp
    from mtv_jax.io.errors import UserError
    from mtv_jax.ops import attention as module
    from mtv_jax.ops.attention import attention
    from mtv_jax.sharding.mesh import MeshConfig, make_mesh

    module._SPLIT_QUERIES = 10
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


def test_heads_that_cannot_be_divided_are_reported(found):
    assert found["error"] == "4 attention heads on a mesh of tensor 1 x context 8: 8 must divide the heads"
