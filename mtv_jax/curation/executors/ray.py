"""Runs jobs on a Ray cluster, whose machines share the folders of films and of the curation."""

import importlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from mtv_jax.curation.executors import Event
from mtv_jax.curation.executors.local import ENVIRONMENT
from mtv_jax.curation.jobs import Job, Message, Worker
from mtv_jax.io.errors import UserError


class RayExecutor:
    """A pool of `workers` actors. An actor that dies costs its job only; another one takes its place.

    Args:
      work: what actors do.
      workers: how many.
      address: of a cluster; None: a cluster of this machine alone is started.
      num_gpus: GPUs of each actor, may be a fraction.
    """

    def __init__(self, work: Worker, workers: int, address: str | None = None, num_gpus: float = 0):
        self._ray = _ray()
        options: dict[str, Any] = {"address": address} if address else {"num_cpus": workers}
        environment = {"env_vars": dict(ENVIRONMENT)}
        self._ray.init(
            **options,
            runtime_env=environment,
            include_dashboard=False,
            log_to_driver=False,
            ignore_reinit_error=True,
        )
        self._actor = self._ray.remote(_Actor).options(num_cpus=1, num_gpus=num_gpus, max_restarts=0)
        self._work = self._ray.put(work)
        self._count = workers
        self._idle: list[Any] = []

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """See `Executor`."""
        events: queue.Queue[Event | BaseException | None] = queue.Queue()
        waiting, lock = iter(jobs), threading.Lock()
        threads = [
            threading.Thread(target=self._feed, args=(waiting, lock, events), daemon=True)
            for _ in range(self._count)
        ]
        for thread in threads:
            thread.start()
        running = len(threads)
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

    def _feed(self, waiting: Iterator[Job], lock: Any, events: Any) -> None:
        """Gives jobs to one actor, a new one after each death."""
        actor = None
        try:
            while True:
                with lock:
                    job = next(waiting, None)
                if job is None:
                    return
                actor = actor or self._take()
                died = self._do(actor, job, events)
                if died is not None:
                    actor = None
                events.put(Event(job, died=died))
        except BaseException as error:
            events.put(error)
        finally:
            if actor is not None:
                self._idle.append(actor)
            events.put(None)

    def _take(self) -> Any:
        """An actor that has its models already, or a new one."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._actor.remote(self._work)

    def _do(self, actor: Any, job: Job, events: Any) -> str | None:
        """Runs a job; the reason if the actor died."""
        try:
            for reference in actor.run.options(num_returns="streaming").remote(job):
                events.put(Event(job, self._ray.get(reference)))
        except self._ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from error
        except (
            self._ray.exceptions.RayActorError,
            self._ray.exceptions.WorkerCrashedError,
            self._ray.exceptions.OutOfMemoryError,
        ) as error:
            return f"the worker died ({' '.join(str(error).split())[:200]})"
        return None


class _Actor:
    """A worker."""

    def __init__(self, work: Worker):
        self._work = work

    def run(self, job: Job) -> Iterator[Message]:
        yield from self._work(job)


def _ray() -> Any:
    try:
        importlib.import_module("ray.exceptions")
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError("--executor ray: Ray is not installed; pip install 'mtv_jax[ray]'") from error
