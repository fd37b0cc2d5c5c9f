"""The ledger of a curation: an append-only JSONL file with a row for every outcome of a stage.

    {"item": ID, "film": ID, "stage": NAME, "key": SHA256, "status": "ok", "evidence": {...}, "seconds": 0.1, ...}

`key` identifies what the outcome depends on (`mtv_jax.curation.stages.Keys`). A row with the status `error` has
a `reason` instead of evidence; if it is `final`, another try is pointless. One process writes (`mtv_jax.io.jsonl`), and
each batch of rows is flushed to disk before the work that follows it.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]

OK, ERROR = "ok", "error"
"""Statuses of rows; those of answers that are none are in `mtv_jax.curation.roles`."""

RETRY = "retry"
"""The stage of a row after which earlier errors do not count (`--retry-failed`), nor the outcomes in its `forget`."""


class State:
    """The content of a ledger: the latest outcome of each stage for each item, and errors by key."""

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

    def all_errors(self, film: str, key: str) -> tuple[Row, ...]:
        """The failures of a film and its clips, and those of `key`."""
        found = self._errors_of.get(film, []) if film else []
        return (*found, *self.errors(key))

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


def given_up(errors: list[Row], retries: int) -> bool:
    """Whether a stage that failed so often is not tried again."""
    return len(errors) > retries or any(row.get("final", False) for row in errors)
