"""Runs jobs in this process, one after the other: for small data sets and for finding errors."""

from collections.abc import Iterator, Sequence

from mtv_jax.curation.executors import Event
from mtv_jax.curation.jobs import Job, Worker


class InlineExecutor:
    """Without protection from decoders that crash."""

    def __init__(self, work: Worker):
        self._work = work

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """See `Executor`."""
        for job in jobs:
            for message in self._work(job):
                yield Event(job, message)
            yield Event(job)

    def close(self) -> None:
        """Nothing to stop."""
