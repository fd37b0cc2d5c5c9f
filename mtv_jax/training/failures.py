"""What failed: a read that another try mends, the disk, or the device's memory; and one verdict of all processes."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import jax

from mtv_jax.io.errors import UserError
from mtv_jax.sharding.distributed import gather

T = TypeVar("T")

RETRY_SECONDS = (0.5, 2.0)
"""How long a read that failed waits before it is tried again."""
_FULL_DISK = re.compile(r"ENOSPC|No space left|disk quota", re.IGNORECASE)
_MEMORY = re.compile(r"out of memory|allocat", re.IGNORECASE)
_EXHAUSTED = "RESOURCE_EXHAUSTED"


class DamagedError(UserError):
    """A checkpoint that cannot be read."""


_KINDS = (RuntimeError, UserError, DamagedError)


def is_full_disk(error: object) -> bool:
    """Whether an error (of the system, TensorStore or Orbax) tells of a full disk, or a quota that is used up."""
    return bool(_FULL_DISK.search(str(error)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether XLA had not enough memory on a device. TensorStore's full disk is RESOURCE_EXHAUSTED too."""
    text = str(error)
    if _EXHAUSTED not in text or is_full_disk(error):
        return False
    return isinstance(error, jax.errors.JaxRuntimeError) or bool(_MEMORY.search(text))


@contextmanager
def report_out_of_memory(doing: str) -> Iterator[None]:
    """Tells in one line, as the user's to mend, that a device's memory was too small for what was done."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"{doing}: out of device memory ({first_line(error)}); lower config.data.batch_size, raise "
            "config.accumulate, spread the weights over more devices (config.mesh.fsdp), or end other programs there"
        ) from error


def retried(read: Callable[[], T]) -> T:
    """What `read` gives; if it fails, it is tried again after each of `RETRY_SECONDS`. Raises what it raised last.

    Memory that ran out, on the host or a device, is not tried again.
    """
    for seconds in RETRY_SECONDS:
        try:
            return read()
        except Exception as error:
            if isinstance(error, MemoryError) or is_out_of_memory(error):
                raise
            time.sleep(seconds)
    return read()


def agreed(read: Callable[[], T]) -> T:
    """What `read` gives this process, if it succeeds in all of them. All have to call this.

    Raises:
      DamagedError: in every process alike, if it was raised in one.
      UserError, RuntimeError: in the others, if one process failed in another way, which raises its own error. Which
        of the two follows from what that one raised, so that all exit with one status.
    """
    try:
        value, failed = read(), None
    except Exception as error:
        value, failed = None, error
    outcomes = gather(failed and (_kind(failed), str(failed) or type(failed).__name__))
    if failed is not None and not isinstance(failed, DamagedError):
        raise failed
    # What is not damage goes before: it must not look as if an older checkpoint would do.
    failures = sorted((outcome[0], index, outcome[1]) for index, outcome in enumerate(outcomes) if outcome)
    for kind, index, text in failures[:1]:
        where = "" if len(outcomes) == 1 else f" (process {index} of {len(outcomes)})"
        raise _KINDS[kind](f"{text}{where}") from failed
    return cast(T, value)


def _kind(error: Exception) -> int:
    """Number in `_KINDS` of what an error is to the other processes."""
    return isinstance(error, UserError) + isinstance(error, DamagedError)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, which may be long; its type if it has none."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
