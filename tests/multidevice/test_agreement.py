"""Two processes agree, and are connected before one of them can be late."""

import itertools
import sys
import textwrap

import pytest
from processes import finish_processes, start_processes

SCRIPT = """
    import itertools, sys
    from mtv_jax.sharding.distributed import from_first, gather, join_processes, meet
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
        print(f"reported: {error}", file=sys.stderr, flush=True)

    def break_down():
        raise ZeroDivisionError("an error")

    try:
        from_first("failure", break_down)
    except (RuntimeError, ZeroDivisionError) as error:
        print(f"reported: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    assert from_first("number", lambda: f"again of {index}") == "again of 0"
    assert gather([index, None]) == [[0, None], [1, None]]

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
def reported():
    """What the two processes, of two devices each, write to stderr."""
    # One stream, in order: what Gloo says goes to stdout or stderr, by its version.
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    results = finish_processes(start_processes([command] * 2, devices, one_stream=True))
    assert [code for code, *_ in results] == [0, 0], results
    outputs = [output for _, output, _ in results]
    return [output.splitlines() for output in outputs]


def test_what_the_first_process_decides_or_fails_with_is_so_for_all(reported):
    assert "reported: no room" in reported[0]
    assert "reported: ZeroDivisionError: an error" in reported[0]
    assert "reported: RuntimeError: process 0: an error" in reported[1]
    assert "reported: process 0: no room" in reported[1]


def test_all_sets_of_devices_are_connected_before_anything_is_compiled_for_long(reported):
    """A set that is not, waits 30 seconds for a process that compiles, and fails."""
    for lines in reported:
        before = list(itertools.takewhile(lambda line: line != "met", lines))
        connected = [line for line in lines if line.startswith("[Gloo]")]
        assert connected
        assert connected == [line for line in before if line.startswith("[Gloo]")]
        assert lines[-1] == "done"
