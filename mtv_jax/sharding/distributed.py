"""Many processes, one program: how they find each other, and how they agree."""

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
"""Environment variables by which processes are told of each other where no cluster does it for them."""

_PATIENCE_SECONDS = 3600
"""How long processes wait for one another. One that has died ends the others sooner, by JAX's heartbeats."""

_number_asked = itertools.count()


def join_processes() -> None:
    """Joins the other processes of the run, before anything else asks JAX for devices.

    They are told by `VARIABLES`, or found by JAX on a TPU pod or under slurm; a process that is alone stays alone.
    Raises UserError if only some of the variables are set, or are no numbers.
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
    """Whether JAX can find the other processes by itself: on a TPU pod, or in a job step of slurm's."""
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
    """Waits until all processes are here; on CPUs they then make the connections between the devices of `mesh`.

    XLA's collectives on CPUs (Gloo) connect a set of devices at their first collective, and wait 30 seconds for each
    other in it, which no flag changes. Processes that compile a step on a busy machine end further apart than that:
    the first one failed ("Gloo context initialization failed: DEADLINE_EXCEEDED"), waited in JAX's shutdown for the
    other, which hung in a collective, and after 300 seconds there JAX aborted both (SIGABRT). A set that is connected
    waits for a late process (60 seconds were tried), so all sets that a program's axes can name are connected here,
    where everybody is at once.
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
    """Raises UserError, on every process, unless all processes pass the text that the first one passes."""
    digests = gather(hashlib.sha256(text.encode()).hexdigest())
    others = [i for i, digest in enumerate(digests) if digest != digests[0]]
    if others:
        raise UserError(
            f"{what}: process {others[0]} of {jax.process_count()} has another than process 0; start all of them "
            "with the same files and flags"
        )


def gather(value: Any) -> list[Any]:
    """What each process passes, by process, on all of them; JSON. To be called by all, in the same order.

    They wait for one another up to `_PATIENCE_SECONDS`, and not in a program on the devices, which may give up sooner.
    """
    if jax.process_count() == 1:
        return [value]
    key = _next_key("gather")
    _client().key_value_set(f"{key}/{jax.process_index()}", json.dumps(value))
    return [_wait_for(f"{key}/{index}") for index in range(jax.process_count())]


def from_first(what: str, decide: Callable[[], str]) -> str:
    """What `decide` gives on the first process, on all of them; the others do not call it. Waits as `gather` does.

    If `decide` raises, the first process raises just that, and the others a UserError if it is one, or else a
    RuntimeError, so that all exit with one status.
    """
    if jax.process_count() == 1:
        return decide()
    key = _next_key(what)
    if jax.process_index() != 0:
        told = _wait_for(key)
        if "error" in told:
            raise (UserError if told["is_users"] else RuntimeError)(told["error"])
        return told["answer"]
    try:
        told = {"answer": decide()}
    except BaseException as error:  # Ctrl-C too: nobody is to wait for an answer that will not come
        told = {"error": f"process 0: {error}", "is_users": isinstance(error, UserError)}
        raise
    finally:
        _client().key_value_set(key, json.dumps(told))
    return told["answer"]


def _next_key(what: str) -> str:
    """Of the next question to all; the same on every process, since all ask in the same order."""
    return f"mtv_jax/{next(_number_asked)}/{what}"


def _wait_for(key: str) -> Any:
    return json.loads(_client().blocking_key_value_get(key, 1000 * _PATIENCE_SECONDS))


def _client() -> Any:
    """The coordination service's. JAX has no public name for what its own checkpoints and Orbax agree by."""
    client = distributed.global_state.client
    assert client is not None
    return client
