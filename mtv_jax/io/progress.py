"""Progress of slow work on stderr: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, overload

T = TypeVar("T")
_LINE_SECONDS = 10.0


@overload
def progress(items: int, description: str) -> Iterator[int]: ...
@overload
def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]: ...
def progress(items: Any, description: str, total: int | None = None) -> Iterator[Any]:
    """Yields from `items` and shows the count, the rate and the time left on stderr.

    Args:
      items: an iterable, or the number of iterations.
      description: name of the work, e.g. "encoding".
      total: number of items where `items` has no length.
    """
    counted: Any = range(items) if isinstance(items, int) else items
    if total is None and hasattr(counted, "__len__"):
        total = len(counted)
    show = _bar if sys.stderr.isatty() else _lines
    return show(counted, description, total)


def say(line: str) -> None:
    """Prints a line on stderr before a slow step."""
    print(line, file=sys.stderr, flush=True)


def _bar(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}", markup=False),  # it may be the name of a file
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    started, done = time.monotonic(), 0
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total, rate="")
        for done, item in enumerate(items, 1):
            yield item
            rate = done / max(time.monotonic() - started, 1e-9)
            bar.update(task, completed=done, rate=f"{rate:.3g}/s")
        bar.update(task, total=done)


def _lines(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    started = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= _LINE_SECONDS and done != total:
            print(_line(description, done, total, now - started), file=sys.stderr, flush=True)
            last = now
    elapsed = time.monotonic() - started
    print(f"{description}: {done} done in {elapsed:.1f} s", file=sys.stderr, flush=True)


def _line(description: str, done: int, total: int | None, elapsed: float) -> str:
    rate = done / max(elapsed, 1e-9)
    if total is None:
        return f"{description}: {done}, {rate:.3g}/s"
    left = (total - done) / rate
    return f"{description}: {done}/{total} ({100 * done // total} %), {rate:.3g}/s, {left:.0f} s left"
