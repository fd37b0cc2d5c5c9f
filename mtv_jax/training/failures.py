"""Failure handling: retried reads, full disks, device out-of-memory errors, and agreement among processes."""

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
"""Delays before each retry of a failed read."""
_FULL_DISK = re.compile(r"ENOSPC|No space left|disk quota", re.IGNORECASE)
_MEMORY = re.compile(r"out of memory|allocat", re.IGNORECASE)
_EXHAUSTED = "RESOURCE_EXHAUSTED"


class DamagedError(UserError):
    """A checkpoint that cannot be read."""


_KINDS = (RuntimeError, UserError, DamagedError)


def is_full_disk(error: object) -> bool:
    """Whether an error (of the system, TensorStore or Orbax) reports a full disk or an exceeded quota."""
    return bool(_FULL_DISK.search(str(error)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether XLA ran out of device memory. TensorStore reports a full disk as RESOURCE_EXHAUSTED too."""
    text = str(error)
    if _EXHAUSTED not in text or is_full_disk(error):
        return False
    return isinstance(error, jax.errors.JaxRuntimeError) or bool(_MEMORY.search(text))


@contextmanager
def report_out_of_memory(doing: str) -> Iterator[None]:
    """Converts a device out-of-memory error raised in the block to a one-line UserError."""
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
    """Returns the result of `read`, retrying after each of `RETRY_SECONDS`. Raises the error of the last attempt.

    Out-of-memory errors, of the host or a device, are not retried.
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
    """Returns the result of `read` in this process, if it succeeds in all processes. A collective call.

    Raises:
      DamagedError: in every process, if any process raised it.
      UserError, RuntimeError: in the other processes, if one failed with another error, which it re-raises itself.
        The type follows from that error, so that all processes exit with the same status.
    """
    try:
        value, failed = read(), None
    except Exception as error:
        value, failed = None, error
    outcomes = gather(failed and (_kind(failed), str(failed) or type(failed).__name__))
    if failed is not None and not isinstance(failed, DamagedError):
        raise failed
    # Errors other than damage take precedence: callers must not fall back to an older checkpoint.
    failures = sorted((outcome[0], index, outcome[1]) for index, outcome in enumerate(outcomes) if outcome)
    for kind, index, text in failures[:1]:
        where = "" if len(outcomes) == 1 else f" (process {index} of {len(outcomes)})"
        raise _KINDS[kind](f"{text}{where}") from failed
    return cast(T, value)


def _kind(error: Exception) -> int:
    """Index in `_KINDS` of the error raised in the other processes."""
    return isinstance(error, UserError) + isinstance(error, DamagedError)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, truncated to 200 characters; its type if the message is empty."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
