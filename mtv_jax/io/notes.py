"""Notes: what a user should know of an input, and goes on without."""

import contextlib
import logging
from collections.abc import Iterator

log = logging.getLogger(__name__)

_told: set[str] | None = None


def note(message: str) -> None:
    """Logs a warning of one line; in a command (`once_each`) each is logged once."""
    if _told is not None:
        if message in _told:
            return
        _told.add(message)
    log.warning("%s", " ".join(message.split()))


@contextlib.contextmanager
def once_each() -> Iterator[None]:
    """In the block a note is logged once only: a command reads some of its files more than once."""
    global _told
    _told = set()
    try:
        yield
    finally:
        _told = None
