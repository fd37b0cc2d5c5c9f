"""Attention Mosaic on a batch that is split over devices gives what one device gives."""

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
    from jax.sharding import NamedSharding, PartitionSpec
    from mtv_jax.diffusion.mosaic.attention import mosaic_attention
    from mtv_jax.diffusion.mosaic.contexts import Contexts
    from mtv_jax.diffusion.mosaic.mosaic import Mosaic
    from mtv_jax.diffusion.mosaic.options import MosaicOptions
    from mtv_jax.sharding.mesh import MeshConfig, make_mesh
    from mtv_jax.typing import BATCH_AXES

    b, n, f, tokens, text, grid = 4, 2, 2, 2, 7, (5, 8)
    boxes = np.tile(np.float32([[0, 0.2, 0.6, 0.8], [0.4, 0.2, 1, 0.8]])[None, :, None], (b, 1, f, 1))
    yes = np.ones((b, n), bool)
    mosaic = Mosaic(("a", "b"), boxes, ~yes, yes, np.zeros(b, np.float32), MosaicOptions.paper())
    pool = np.zeros((b, f, text + n * tokens, 1), np.float32)
    given = Contexts(pool, mosaic, np.array([True, False, True, False]), text)
    lengths = 40, pool.shape[2], pool.shape[2]
    keys = jax.random.split(jax.random.key(0), 3)
    qkv = [jax.random.normal(key, (b * f, m, 2, 8)) for key, m in zip(keys, lengths)]
    attend = jax.jit(lambda q, k, v, contexts: mosaic_attention(q, k, v, contexts, grid))
    plain = attend(*qkv, jax.tree.map(jnp.asarray, given))
    mesh = make_mesh(MeshConfig(2, 2, 1, 1))
    split = NamedSharding(mesh, PartitionSpec(BATCH_AXES))
    with jax.set_mesh(mesh):
        meshed = attend(*jax.device_put((*qkv, given), split))
    print(json.dumps({
        "difference": float(jnp.abs(np.asarray(meshed) - np.asarray(plain)).max()),
        "devices": len(meshed.sharding.device_set),
    }))
"""


@pytest.mark.slow
def test_a_split_batch_is_as_on_one_device():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=3600, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["devices"] == 4
    assert found["difference"] < 1e-5
