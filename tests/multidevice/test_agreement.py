"""Two processes agree, and are connected before one of them can be late."""

import itertools
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
    import itertools, sys
    from mtv_jax.sharding.distributed import from_first, join_processes, meet
    join_processes()
    import jax, numpy as np
    from jax.sharding import PartitionSpec as P
    from mtv_jax.io.errors import UserError
    from mtv_jax.sharding.mesh import MeshConfig, make_mesh

    index = jax.process_index()
    assert from_first("number", lambda: f"of {index}") == "of 0"

    def fail():
        raise UserError("no room") if index == 0 else AssertionError("called")

    try:
        from_first("failure", fail)
    except UserError as error:
        print(f"told: {error}", file=sys.stderr, flush=True)
    assert from_first("number", lambda: f"again of {index}") == "again of 0"

    mesh = make_mesh(MeshConfig(data=-1, fsdp=2))
    meet(mesh)
    print("met", file=sys.stderr, flush=True)
    for axes in ("data", "fsdp", ("data", "fsdp")):
        f = jax.shard_map(lambda x: jax.lax.psum(x, axes), mesh=mesh, in_specs=P(axes), out_specs=P())
        x = jax.make_array_from_callback((4,), jax.NamedSharding(mesh, P(axes)), lambda i: np.ones(4)[i])
        jax.block_until_ready(jax.jit(f)(x))
    print("done", file=sys.stderr, flush=True)
"""


@pytest.fixture(scope="module")
def told():
    """What the two processes, of two devices each, write to stderr."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    started = []
    for index in range(2):
        env = os.environ | {
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
            "JAX_PLATFORMS": "cpu",
            "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
            "JAX_NUM_PROCESSES": "2",
            "JAX_PROCESS_ID": str(index),
        }
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
        # One stream, in order: what Gloo says goes to stdout or stderr, by its version.
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(command, cwd=ROOT, env=env, **pipes))
    try:
        outputs = [process.communicate(timeout=500)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], outputs
    return [output.splitlines() for output in outputs]


def test_what_the_first_process_decides_or_fails_with_is_so_for_all(told):
    assert "told: no room" in told[0]
    assert "told: process 0: no room" in told[1]


def test_all_sets_of_devices_are_connected_before_anything_is_compiled_for_long(told):
    """A set that is not, waits 30 seconds for a process that compiles, and fails."""
    for lines in told:
        before = list(itertools.takewhile(lambda line: line != "met", lines))
        connected = [line for line in lines if line.startswith("[Gloo]")]
        assert connected
        assert connected == [line for line in before if line.startswith("[Gloo]")]
        assert lines[-1] == "done"
