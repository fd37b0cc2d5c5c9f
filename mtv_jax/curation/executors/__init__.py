"""Where jobs of curation run: in this process, in processes of this machine, or on a Ray cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mtv_jax.curation.jobs import Job, Message


@dataclass(frozen=True)
class Event:
    """What became of a job: a message of its worker; or, without one, its end, with a reason if the worker died."""

    job: Job
    message: Message | None = None
    died: str | None = None


@runtime_checkable
class Executor(Protocol):
    """Runs jobs, in any order, and tells of them as it happens."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Events of all jobs, each of which is taken when its turn comes.

        Raises UserError if a worker cannot go on because of its surroundings (a full disk).
        """
        ...

    def close(self) -> None:
        """Stops the workers, whatever they are doing."""
        ...
