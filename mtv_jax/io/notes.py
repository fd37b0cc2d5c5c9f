"""Warnings about an input that do not stop the work."""

import contextlib
import logging
from collections.abc import Iterator

log = logging.getLogger(__name__)

_logged: set[str] | None = None


def note(message: str) -> None:
    """Logs a one-line warning; within `once_each`, as in a command, each distinct one is logged once."""
    if _logged is not None:
        if message in _logged:
            return
        _logged.add(message)
    log.warning("%s", " ".join(message.split()))


@contextlib.contextmanager
def once_each() -> Iterator[None]:
    """Logs each distinct note in the block only once, since a command may read a file more than once."""
    global _logged
    _logged = set()
    try:
        yield
    finally:
        _logged = None
