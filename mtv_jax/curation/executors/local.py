"""Runs jobs in processes of this machine. A process that dies costs its job only; another one takes its place."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import connection, get_context, parent_process
from typing import Any

from mtv_jax.curation.executors import Event
from mtv_jax.curation.jobs import Job, Message, Worker
from mtv_jax.io.errors import UserError

ENVIRONMENT: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "MALLOC_TRIM_THRESHOLD_": "65536",
}
"""Of workers: one thread for each model, since there is a worker for each core; a GPU's memory is shared.

`NPROC` is XLA's: it sizes the pool of threads of JAX's networks, whose results depend on it in their last bits.

The last is of glibc, as in Dask's workers: memory that is free is given back. Without it pieces between others stay, up
to 130 MB after some minutes of separation, and more with each minute; separation takes a tenth longer with it.
"""


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalExecutor:
    """A pool of `workers` spawned processes."""

    def __init__(self, work: Worker, workers: int):
        self._work, self._count = work, workers
        self._workers: list[_Process] = []

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """See `Executor`."""
        waiting = iter(jobs)
        busy: dict[Any, _Process] = {}
        while True:
            idle = [worker for worker in self._workers if worker.job is None]
            while len(busy) < self._count and (job := next(waiting, None)) is not None:
                worker = idle.pop() if idle else self._start()
                busy[worker.connection] = worker
                worker.give(job)
            if not busy:
                return
            for ready in connection.wait(list(busy)):
                worker = busy[ready]
                event = worker.event()
                if event.message is None:
                    del busy[ready]
                    if event.died is not None:
                        self._workers.remove(worker)
                yield event

    def close(self) -> None:
        """See `Executor`."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    def _start(self) -> "_Process":
        worker = _Process(self._work)
        self._workers.append(worker)
        return worker


class _Process:
    """A process, and the job that it has."""

    def __init__(self, work: Worker):
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with _environment():
            self._process.start()
        theirs.close()
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        self.job = job
        with contextlib.suppress(OSError):  # a process that has died is noticed by `event`
            self.connection.send(job)

    def event(self) -> Event:
        """What the process sent; the end of its job, with the reason, if it has died."""
        job = self.job
        assert job is not None
        try:
            said = self.connection.recv()
        except (EOFError, OSError):
            self.job = None
            return Event(job, died=self._death())
        if isinstance(said, Message):
            return Event(job, said)
        self.job = None
        if said is not None:
            raise UserError(said)
        return Event(job)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _death(self) -> str:
        self._process.join()
        self.connection.close()
        code = self._process.exitcode or 0
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the worker died ({name})"


def _serve(channel: Any, work: Worker) -> None:
    """What a worker does: jobs, until its parent is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # A signal to the whole group is for the parent, which kills its workers.
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            try:
                for message in work(channel.recv()):
                    channel.send(message)
                end = None
            except UserError as error:
                end = str(error)
            channel.send(end)


def _end_with_parent() -> None:
    """Ends this process as soon as its parent is gone, since the next run may work on the same films."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Child processes that are started in the block have `ENVIRONMENT`."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
