"""Multi-process runs: initialisation and agreement between processes."""

import hashlib
import itertools
import json
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax._src import distributed
from jax.sharding import Mesh, PartitionSpec

from mtv_jax.io.errors import UserError

VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
"""Environment variables that configure the processes where no cluster environment does."""

_PATIENCE_SECONDS = 3600
"""How long processes wait for each other. If one dies, JAX's heartbeats end the others sooner."""

_number_asked = itertools.count()


def join_processes() -> None:
    """Joins the other processes of the run. Call it before anything else asks JAX for devices.

    The processes are configured by `VARIABLES`, or detected by JAX on a TPU pod or under slurm; otherwise the run has
    a single process. Raises UserError if only some of the variables are set, or are not numbers.
    """
    given = [name for name in VARIABLES if os.environ.get(name)]
    if not given:
        if _in_cluster():
            jax.distributed.initialize()
        return
    if missing := [name for name in VARIABLES if name not in given]:
        raise UserError(f"{', '.join(given)} is set but {', '.join(missing)} is not: set all three or none")
    address, count, index = (os.environ[name] for name in VARIABLES)
    if not (count.isdigit() and index.isdigit() and int(index) < int(count)):
        raise UserError(
            f"JAX_PROCESS_ID {index} of JAX_NUM_PROCESSES {count}: must be a number below the other"
        )
    jax.distributed.initialize(address, int(count), int(index))


def _in_cluster() -> bool:
    """Whether JAX can detect the other processes: on a TPU pod, or in a slurm job step."""
    hosts = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get("TPU_WORKER_HOSTNAMES", "")
    if "," in hosts or os.environ.get("TPU_PROCESS_ADDRESSES_PATH"):
        return True
    if _number("MEGASCALE_NUM_SLICES") > 1:
        return True
    # Inside sbatch without srun there are tasks too, but no step that they would run in.
    return _number("SLURM_NTASKS") > 1 and "SLURM_STEP_NODELIST" in os.environ


def _number(variable: str) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() else 0


def meet(mesh: Mesh) -> None:
    """Waits for all processes; on CPUs it then connects the devices of `mesh`.

    XLA's CPU collectives (Gloo) connect a set of devices at its first collective, with a timeout of 30 seconds that no
    flag changes. Processes that compile a step on a busy machine may finish further apart than that: the first one
    failed ("Gloo context initialization failed: DEADLINE_EXCEEDED") and waited in JAX's shutdown for the other, which
    hung in a collective, until JAX aborted both after 300 seconds (SIGABRT). A connected set waits for a late process
    (60 seconds were tried), so all sets that a program's axes can name are connected here, where all processes arrive
    together.
    """
    if jax.process_count() == 1:
        return
    _client().wait_at_barrier(_next_key("meet"), 1000 * _PATIENCE_SECONDS)
    if mesh.devices.flat[0].platform != "cpu":
        return
    axes = [axis for axis, size in mesh.shape.items() if size > 1]
    sets = [names for count in range(len(axes)) for names in itertools.combinations(axes, count + 1)]

    def sums(x: jax.Array) -> jax.Array:
        for names in sets:
            x = jax.lax.psum(x, names)
        return x

    everywhere = PartitionSpec()
    spread = jax.shard_map(sums, mesh=mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False)
    jax.block_until_ready(jax.jit(spread)(np.zeros((), np.float32)))


def check_same(text: str, what: str) -> None:
    """Raises UserError, on every process, unless all processes pass the same text as process 0."""
    digests = gather(hashlib.sha256(text.encode()).hexdigest())
    others = [i for i, digest in enumerate(digests) if digest != digests[0]]
    if others:
        raise UserError(
            f"{what}: process {others[0]} of {jax.process_count()} has another than process 0; start all of them "
            "with the same files and flags"
        )


def gather(value: Any) -> list[Any]:
    """Gathers a JSON value from each process, by process index, on all of them. All must call it in the same order.

    Processes wait for each other up to `_PATIENCE_SECONDS`, outside of device programs, whose timeouts may be shorter.
    """
    if jax.process_count() == 1:
        return [value]
    key = _next_key("gather")
    _client().key_value_set(f"{key}/{jax.process_index()}", json.dumps(value))
    return [_wait_for(f"{key}/{index}") for index in range(jax.process_count())]


def from_first(what: str, decide: Callable[[], str]) -> str:
    """Calls `decide` on process 0 and returns its result on all processes. Waits like `gather`.

    If `decide` raises, process 0 raises the same error, and the others a UserError if it is one, or else a
    RuntimeError, so that all exit with the same status.
    """
    if jax.process_count() == 1:
        return decide()
    key = _next_key(what)
    if jax.process_index() != 0:
        result = _wait_for(key)
        if "error" in result:
            raise (UserError if result["is_users"] else RuntimeError)(result["error"])
        return result["answer"]
    try:
        result = {"answer": decide()}
    except BaseException as error:  # Ctrl-C too: the others must not wait for an answer
        result = {"error": f"process 0: {error}", "is_users": isinstance(error, UserError)}
        raise
    finally:
        _client().key_value_set(key, json.dumps(result))
    return result["answer"]


def _next_key(what: str) -> str:
    """The key of the next exchange, equal on all processes, since all make them in the same order."""
    return f"mtv_jax/{next(_number_asked)}/{what}"


def _wait_for(key: str) -> Any:
    return json.loads(_client().blocking_key_value_get(key, 1000 * _PATIENCE_SECONDS))


def _client() -> Any:
    """The client of the coordination service. JAX has no public name for it (its checkpoints and Orbax use it too)."""
    client = distributed.global_state.client
    assert client is not None
    return client
