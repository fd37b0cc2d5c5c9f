"""Runs jobs on a Ray cluster, whose machines share the folders of films and of the curation."""

import contextlib
import importlib
import queue
import re
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from mtv_jax.curation.executors import Event
from mtv_jax.curation.executors.local import ENVIRONMENT
from mtv_jax.curation.jobs import Job, Message, Worker
from mtv_jax.io.errors import UserError

_STORE_BYTES = 128 * 2**20
"""Of Ray's object store on this machine: films and clips are files, and messages are small."""
_PATIENCE = 1.0
"""Seconds after which a thread that waits for an actor looks whether there is still work."""


_SHOWN = 150
"""Characters of each end of a long error."""


class RayExecutor:
    """A pool of at most `workers` actors. One that dies costs its job only; another one takes its place.

    Args:
      work: what actors do.
      workers: how many. If the cluster has room for fewer, those do the work.
      address: of a cluster; None: a cluster of this machine alone is started.
      num_gpus: GPUs of each actor, may be a fraction.

    Raises:
      UserError: Ray is not installed, or no cluster answers at the address.
    """

    def __init__(self, work: Worker, workers: int, address: str | None = None, num_gpus: float = 0):
        self._ray = _ray()
        # Without "local" Ray joins a cluster that somebody else runs on this machine.
        own: dict[str, Any] = {"address": "local", "num_cpus": workers, "include_dashboard": False}
        own["object_store_memory"] = _STORE_BYTES
        options: dict[str, Any] = {"address": address} if address else own
        environment = {"env_vars": dict(ENVIRONMENT)}
        with _signals_kept():
            try:
                self._ray.init(
                    **options, runtime_env=environment, log_to_driver=False, ignore_reinit_error=True
                )
            except ConnectionError as error:
                raise UserError(f"--address {address}: no Ray cluster answers; `ray start --head`") from error
        self._actor = self._ray.remote(_Actor).options(num_cpus=1, num_gpus=num_gpus, max_restarts=0)
        self._work = self._ray.put(work)
        self._count = workers
        self._idle: list[Any] = []
        errors = self._ray.exceptions
        self._deaths = (
            errors.RayActorError,
            errors.WorkerCrashedError,
            errors.OutOfMemoryError,
            errors.NodeDiedError,
            errors.ObjectLostError,
        )

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """See `Executor`."""
        events: queue.Queue[Event | BaseException | None] = queue.Queue()
        waiting = deque(range(len(jobs)))
        running = min(self._count, len(waiting))
        for _ in range(running):
            threading.Thread(target=self._feed, args=(jobs, waiting, events), daemon=True).start()
        while running:
            event = events.get()
            if event is None:
                running -= 1
            elif isinstance(event, BaseException):
                raise event
            else:
                yield event

    def close(self) -> None:
        """See `Executor`."""
        self._ray.shutdown()

    def _feed(self, jobs: Sequence[Job], waiting: deque[int], events: Any) -> None:
        """Gives jobs, by the numbers that wait, to one actor, a new one after each death, until there are none."""
        actor = None
        try:
            while waiting:
                actor = actor or self._take()
                if not self._is_ready(actor, waiting):
                    self._kill(actor)
                    return
                try:
                    number = waiting.popleft()
                except IndexError:
                    break
                job = jobs[number]
                died = self._do(actor, job, events)
                if died is not None:
                    self._kill(actor)
                    actor = None
                events.put(Event(job, died=died))
            if actor is not None:
                self._idle.append(actor)
        except BaseException as error:
            events.put(error)
        finally:
            events.put(None)

    def _take(self) -> Any:
        """An actor that has its models already, or a new one."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._actor.remote(self._work)

    def _is_ready(self, actor: Any, waiting: deque[int]) -> bool:
        """Waits until an actor has a place in the cluster, or others have done all the work.

        A job must not wait with it: in a full cluster it would wait for ever.
        """
        answer = [actor.ready.remote()]
        while waiting:
            if self._ray.wait(answer, timeout=_PATIENCE)[0]:
                return True  # it has died, perhaps, which `_do` notices
        return False

    def _kill(self, actor: Any) -> None:
        """Ends an actor, which may live though it does not answer: its film goes to another one."""
        with contextlib.suppress(Exception):
            self._ray.kill(actor)

    def _do(self, actor: Any, job: Job, events: Any) -> str | None:
        """Runs a job; the reason if the actor died. Raises UserError if it cannot go on."""
        try:
            for reference in actor.run.options(num_returns="streaming").remote(job):
                said = self._ray.get(reference)
                if isinstance(said, str):
                    raise UserError(said)
                events.put(Event(job, said))
        except self._deaths as error:
            return f"the worker died ({_short(str(error))})"
        return None


class _Actor:
    """A worker."""

    def __init__(self, work: Worker):
        self._work = work

    def ready(self) -> None:
        """Answers once the actor is there."""

    def run(self, job: Job) -> Iterator[Message | str]:
        """Messages; at last, a text if it cannot go on. Raised, it would come with the actor's traceback."""
        try:
            yield from self._work(job)
        except UserError as error:
            yield str(error)


def _short(text: str) -> str:
    """A line that has both ends of a text: what happened, and the exception that a traceback ends with."""
    words = " ".join(re.sub("\x1b\\[[0-9;]*m", "", text).split())
    return words if len(words) <= 2 * _SHOWN else f"{words[:_SHOWN]} ... {words[-_SHOWN:]}"


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray handles SIGTERM in a way of its own; afterwards it is handled as before the block."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _ray() -> Any:
    try:
        importlib.import_module("ray.exceptions")
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError("--executor ray: Ray is not installed; pip install 'mtv_jax[ray]'") from error
