"""Batches that a run skips: for example those with a non-finite loss.

Batch k (from 0) is the first one of `make_dataset(first_batch=k)`. A run without gaps uses batch k in step k + 1;
after a gap the batch numbers are ahead of the steps, and data and keys follow the batch numbers.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json, write_json

RECORD_FILE = "skipped_batches.json"

_LAST = 10**9
"""Largest batch number: keys are folded with it as 32 bits."""


@dataclass(frozen=True)
class Skipped:
    """Ranges `(first, end)` of batch numbers, sorted and disjoint; `end` is exclusive."""

    ranges: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def of(ranges: Iterable[Iterable[int]]) -> "Skipped":
        """From ranges in any order, which may overlap."""
        merged: list[tuple[int, int]] = []
        for first, end in sorted((first, end) for first, end in ranges):
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((first, end))
        return Skipped(tuple(merged))

    def number(self, step: Any) -> Any:
        """Number of the batch used after `step` steps; an int or an array of them."""
        number, before = step, 0
        for first, end in self.ranges:
            number = number + (end - first) * (step >= first - before)
            before += end - first
        return number

    def below(self, number: int) -> "Skipped":
        """The ranges below a batch number."""
        return Skipped.of((first, min(end, number)) for first, end in self.ranges if first < number)

    def batches(self, source: Callable[[int], Iterable[Any]], step: int) -> Iterator[Any]:
        """An endless iterator of the batches after `step` steps; `source(k)` iterates from batch k."""
        start = self.number(step)
        for first, end in self.ranges:
            if first > start:
                yield from islice(source(start), first - start)
                start = end
        yield from source(start)

    def __str__(self) -> str:
        return ", ".join(f"{first}:{end}" for first, end in self.ranges)


def parse_range(text: str) -> tuple[int, int]:
    """`"a:b"` -> (a, b). Raises UserError unless both are whole numbers and a < b."""
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if not found or not int(found[1]) < int(found[2]) <= _LAST:
        raise UserError(
            f"--skip-batches {text}: must be A:B with whole numbers A < B, at most {_LAST}; it leaves out the batches "
            "A to B - 1"
        )
    return int(found[1]), int(found[2])


def add(recorded: Skipped, asked: Iterable[tuple[int, int]], step: int, where: Path) -> Skipped:
    """The union of both, for a run that resumes after `step` steps and has skipped `recorded`.

    Raises UserError if that would change the batches it has already trained on.
    """
    position, asked = recorded.number(step), tuple(asked)
    for one in asked:
        if Skipped.of((*recorded.ranges, one)).below(position) != recorded.below(position):
            raise UserError(
                f"batches {one[0]}:{one[1]} (of --skip-batches, or of {where / RECORD_FILE}): {where} is past them: "
                f"step {step} was saved, and batch {position} comes next; give a range that begins there or later "
                "(take the other out of the file), or remove the newer checkpoints to go back"
            )
    return Skipped.of(recorded.ranges + asked)


def read_record(workdir: Path) -> Skipped:
    """The skipped batches of a run, from `workdir/skipped_batches.json`."""
    path = workdir / RECORD_FILE
    if not path.exists():
        return Skipped()
    try:
        return Skipped.of(read_json(path)["skipped_batches"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'{path}: damaged; write {{"skipped_batches": [[A, B], ...]}} there, the ranges of batches to leave out, '
            "or remove it"
        ) from error


def write_record(workdir: Path, skipped: Skipped) -> None:
    """Writes `workdir/skipped_batches.json`, atomically."""
    write_json(workdir / RECORD_FILE, {"skipped_batches": skipped.ranges})
