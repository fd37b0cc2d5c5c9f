"""Notes: what a user should know of an input, and goes on without."""

import contextlib
import sys
from collections.abc import Iterator

_told: set[str] | None = None


def note(message: str) -> None:
    """Prints one line on stderr, `note: ...`; in a command (`once_each`) each is printed once."""
    if _told is not None:
        if message in _told:
            return
        _told.add(message)
    print(f"note: {' '.join(message.split())}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def once_each() -> Iterator[None]:
    """In the block a note is printed once only: a command reads some of its files more than once."""
    global _told
    _told = set()
    try:
        yield
    finally:
        _told = None
