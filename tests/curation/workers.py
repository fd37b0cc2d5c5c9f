"""A worker for tests of executors. Processes import it, so it imports little."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from mtv_jax.curation.jobs import Job, Message
from mtv_jax.io.errors import UserError


class Fragile:
    """Says a row for each letter of a job's film; `!` kills its process, `?` is an error of the surroundings."""

    def __call__(self, job: Job) -> Iterator[Message]:
        for letter in job.film:
            yield Message(letter, "spell", letter)
            if letter == "!":
                os.kill(os.getpid(), signal.SIGKILL)
            if letter == "?":
                raise UserError("the disk is full")
            yield Message(letter, "spell", letter, ({"item": letter, "process": os.getpid()},))


class CountThreads:
    """Says how many threads JAX runs a network on."""

    def __call__(self, job: Job) -> Iterator[Message]:
        import jax

        jax.jit(lambda x: x @ x)(jax.numpy.ones((64, 64))).block_until_ready()
        names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
        yield Message(job.film, "count", "threads", ({"threads": names.count("tf_XLAEigen")},))


def job(film: str) -> Job:
    return Job(film, Path(film), {}, film)
