"""The ledger of a curation: an append-only JSONL file with a row for every outcome of a stage.

    {"item": ID, "film": ID, "stage": NAME, "key": SHA256, "status": "ok", "evidence": {...}, "seconds": 0.1, ...}

`key` identifies what the outcome depends on (`mtv_jax.curation.stages.Keys`). A row with the status `error` has
a `reason` instead of evidence; if it is `final`, another try is pointless. One process writes (`mtv_jax.io.jsonl`), and
each batch of rows is flushed to disk before the work that follows it.
"""

import json
import os
import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from mtv_jax.io.errors import UserError

Row = Mapping[str, Any]

OK, ERROR = "ok", "error"
"""Statuses of rows; those of answers that are none are in `mtv_jax.curation.roles`."""

RETRY = "retry"
"""The stage of a row after which earlier errors do not count (`--retry-failed`), nor the outcomes in its `forget`."""


_ROW = re.compile(rb'\{"item": "[^"\\]*", "film": "([0-9a-f]+)", "stage": "')


class State:
    """What rows say: the latest outcome of each stage for each item, and errors by key."""

    def __init__(self, rows: Iterable[Row] = ()):
        self._rows: dict[tuple[str, str], Row] = {}
        self._stages: set[str] = set()
        self._errors: dict[str, list[Row]] = {}
        self._errors_of: dict[str, list[Row]] = {}
        self._clips: dict[str, dict[str, None]] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Adds a row."""
        if row["stage"] == RETRY:
            self._errors.clear()
            self._errors_of.clear()
            for item, stage in row.get("forget", ()):
                self._rows.pop((item, stage), None)
        elif row["status"] == ERROR:
            self._errors.setdefault(row["key"], []).append(row)
            self._errors_of.setdefault(row["film"], []).append(row)
        else:
            self._rows[row["item"], row["stage"]] = row
            self._stages.add(row["stage"])
            if row["item"] != row["film"]:
                self._clips.setdefault(row["film"], {})[row["item"]] = None

    def row(self, item: str, stage: str, key: str) -> Row | None:
        """The outcome of a stage with this key."""
        row = self._rows.get((item, stage))
        return row if row is not None and row["key"] == key else None

    def clips(self, film: str, stage: str, key: str) -> list[str]:
        """The clips of a film, in order, of which its `stage` with this key says something."""
        return [clip for clip in self._clips.get(film, ()) if self.row(clip, stage, key) is not None]

    def errors(self, key: str) -> list[Row]:
        """The failures of the stage with this key since the last `RETRY`."""
        return self._errors.get(key, [])

    def all_errors(self, film: str) -> tuple[Row, ...]:
        """The failures of a film and its clips since then."""
        return tuple(self._errors_of.get(film, ()))

    def outcomes_after(self, readers: Mapping[str, Collection[str]]) -> list[list[str]]:
        """Item and stage of each outcome of `readers[stage]` where that stage has failed, on the item or its film."""
        found: dict[tuple[str, str], None] = {}
        for row in (row for errors in self._errors.values() for row in errors):
            if self.row(row["item"], row["stage"], row["key"]) is None:
                whole = row["item"] == row["film"]
                items = (row["film"], *self._clips.get(row["film"], ())) if whole else (row["item"],)
                pairs = [(item, stage) for item in items for stage in readers.get(row["stage"], ())]
                found.update(dict.fromkeys(pair for pair in pairs if pair in self._rows))
        return [list(pair) for pair in found]

    def rows_of(self, film: str) -> tuple[Row, ...]:
        """All outcomes of a film and its clips."""
        items = [film, *self._clips.get(film, ())]
        return tuple(self._rows[i, s] for i in items for s in self._stages if (i, s) in self._rows)


class Ledger:
    """A ledger on disk, read a film at a time, so that memory depends on the longest film and not on their number.

    Raises UserError for a damaged row, when it is read.

    Attributes:
      others: the rows of no film: files that were hashed, or could not be, and tries.
      files: what they say.
    """

    def __init__(self, path: Path):
        self._path, self._end = path, 0
        self._places: dict[str, array] = {}
        """Where the rows of each film are, and those that let stages be tried again, which are of all films."""
        self._retries: dict[int, dict[str, list[str]]] = {}
        """Place of a row that lets stages be tried again -> item -> the stages whose outcome it forgets."""
        self.others: list[Row] = []
        self.files = State()
        self.refresh()

    def refresh(self) -> None:
        """Takes note of what was appended to the file."""
        with _opened(self._path) as file:
            file.seek(self._end)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._note(line, self._end)
                self._end += len(line)

    @property
    def films(self) -> Sequence[str]:
        """The films that have rows."""
        return tuple(self._places)

    def rows(self, film: str) -> Iterator[Row]:
        """The rows of a film and its clips, each with its `place` in the file.

        Rows that let stages be tried again forget nothing but outcomes of this film, and have no place.
        """
        items: set[str] = set()
        with _opened(self._path) as file:
            for place in self._places.get(film, ()):
                if place in self._retries:
                    forget = [(item, stage) for item in items for stage in self._retries[place].get(item, ())]
                    yield {"stage": RETRY, "forget": forget}
                else:
                    row = read_row(file, place)
                    items.add(row["item"])
                    yield row

    def state(self, film: str) -> State:
        """What the rows of a film say."""
        return State(self.rows(film))

    def _note(self, line: bytes, place: int) -> None:
        found = _ROW.match(line)
        if found:
            self._places.setdefault(found[1].decode(), array("q")).append(place)
            return
        row = _parsed(line, f"{self._path}: byte {place}")
        if row["stage"] == RETRY:
            self._retries[place] = {}
            for item, stage in row.get("forget", ()):
                self._retries[place].setdefault(item, []).append(stage)
            for rows in self._places.values():
                rows.append(place)
            row = {**row, "forget": ()}  # which is long
        self.others.append(row)
        self.files.add(row)


def read_row(file: IO[bytes], place: int) -> dict[str, Any]:
    """The row at a place of an open ledger. Raises UserError if it is damaged."""
    file.seek(place)
    return _parsed(file.readline(), f"{file.name}: byte {place}") | {"place": place}


def _opened(path: Path) -> IO[bytes]:
    """A ledger, or what is as empty if there is none yet."""
    return open(path if path.exists() else os.devnull, "rb")


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError as error:
        raise UserError(f"{where} is damaged ({error}); restore the file") from error


def given_up(errors: list[Row], retries: int) -> bool:
    """Whether a stage that failed so often is not tried again."""
    return len(errors) > retries or any(row.get("final", False) for row in errors)
