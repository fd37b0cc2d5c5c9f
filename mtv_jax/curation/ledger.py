"""The ledger of a curation: an append-only JSONL file with a row for every outcome of a stage.

    {"item": ID, "stage": NAME, "key": SHA256, "status": "ok", "evidence": {...}, "seconds": 0.1, "peak_bytes": 1e8}

`key` identifies what the outcome depends on (`mtv_jax.curation.stages.stage_key`). The status `error` has a `reason`
instead of evidence. One process writes; each batch of rows is flushed to disk before the work that follows it. A row
that a crash cut off at the end is ignored by readers and removed by the next writer.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from mtv_jax.curation.roles import ERROR
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import DiskError

LEDGER = "ledger.jsonl"
Row = Mapping[str, Any]

RETRY = "retry"
"""The stage of a row that forgives all errors before it (`--retry-failed`)."""


def read_ledger(path: Path) -> Iterator[Row]:
    """The rows of a ledger. Raises UserError for a line that is not JSON, unless a crash cut it off at the end."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}: line {number} is damaged ({error}); restore the file") from error


class LedgerWriter:
    """Appends rows. Of a ledger there may be one at a time."""

    def __init__(self, path: Path):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab+")
        self._file.truncate(_whole(self._file))

    def append(self, rows: Iterable[Row]) -> None:
        """Writes rows and flushes them to disk. Raises DiskError if it is full."""
        lines = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        try:
            self._file.write(lines)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DiskError(self._path, error.errno or 0) from error

    def __enter__(self) -> "LedgerWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class State:
    """What the rows of a ledger amount to: the latest evidence by item, stage and key, and errors so far."""

    def __init__(self, rows: Iterable[Row] = ()):
        self._found: dict[tuple[str, str], Row] = {}
        self._errors: dict[str, list[str]] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Takes account of one more row."""
        if row["stage"] == RETRY:
            self._errors.clear()
        elif row["status"] == ERROR:
            self._errors.setdefault(row["key"], []).append(row["reason"])
        else:
            self._found[row["item"], row["stage"]] = row

    def row(self, item: str, stage: str, key: str | None = None) -> Row | None:
        """The latest outcome of a stage, if it is of `key` (None: of any)."""
        row = self._found.get((item, stage))
        return row if row is not None and key in (None, row["key"]) else None

    def errors(self, key: str) -> list[str]:
        """Why the stage with this key has failed so far, once for each try."""
        return self._errors.get(key, [])


def _whole(file: Any) -> int:
    """The length of a file up to its last complete line."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - 65536, 0)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
