"""Weights are read straight into their places on a mesh."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
    import json, sys
    import jax, numpy as np
    from mtv_jax import load_model
    from mtv_jax.sharding.mesh import MeshConfig, make_mesh
    from mtv_jax.sharding.rules import tree_shardings
    from mtv_jax.weights import placement

    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    _, whole = load_model(sys.argv[1])
    out = []
    for small in (placement._SMALL, 0):
        placement._SMALL = small
        _, params = load_model(sys.argv[1], mesh=mesh)
        jax.tree.map(np.testing.assert_array_equal, params, whole)
        right = jax.tree.map(lambda x, s: x.sharding.is_equivalent_to(s, x.ndim), params, tree_shardings(whole, mesh))
        kernel = params["params"]["transformer"]["blocks"]["ff"]["up"]["kernel"]
        out.append([all(jax.tree.leaves(right)), kernel.shape, kernel.addressable_shards[0].data.shape])
    print(json.dumps(out))
"""


def test_every_device_gets_its_own_part(pipeline_folder):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(pipeline_folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=3600, check=False
    )
    assert done.returncode == 0, done.stderr
    for placed_by_the_rules, whole, part in json.loads(done.stdout):
        assert placed_by_the_rules
        assert [n // m for n, m in zip(whole, part, strict=True)] == [1, 2, 2]
