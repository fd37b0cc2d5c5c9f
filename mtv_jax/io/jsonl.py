"""Append-only JSONL files: what was acknowledged survives a crash.

Rows are flushed to disk as they are appended. A row that a crash cut off at the end is ignored by readers and removed
by the next writer. There may be one writer at a time.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import DiskError

_BLOCK = 65536


def read_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a file, none if it does not exist. Raises UserError for a line that is not JSON."""
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


class RowWriter:
    """Appends rows to a file, which is made if it does not exist."""

    def __init__(self, path: Path):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab+")  # noqa: SIM115 - closed by __exit__
        self._file.truncate(_whole_lines(self._file))

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes rows and flushes them to disk. Raises DiskError if that fails."""
        lines = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        try:
            self._file.write(lines)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DiskError(self._path, error.errno or 0) from error

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _whole_lines(file: IO[bytes]) -> int:
    """The length of a file up to the end of its last complete line."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - _BLOCK, 0)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
