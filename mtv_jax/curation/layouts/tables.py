"""Tables beside data sets: CSV, or a sheet of an Excel workbook."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, read_text
from mtv_jax.io.xlsx import read_sheet

Row = tuple[int, Sequence[str]]
"""Number of a row, from 1, and its cells."""


def csv_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV file, but for empty ones and comments (`#`). Raises UserError if it is no CSV."""
    reader = csv.reader(io.StringIO(read_text(existing_file(path)), newline=""), strict=True)
    try:
        for cells in reader:
            if cells and not cells[0].startswith("#"):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise UserError(f"{path}: row {reader.line_num}: not CSV ({error})") from error


def named_rows(path: Path, sheet: str, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows of a table whose first row names its columns: a CSV file, or the `sheet` of an `.xlsx`.

    Of each row, column -> cell, of `columns` alone. Raises UserError if a column is missing.
    """
    rows = iter(read_sheet(path, sheet) if path.suffix.lower() == ".xlsx" else csv_rows(path))
    _, head = next(rows, (1, ()))
    missing = [name for name in columns if name not in head]
    if missing:
        raise UserError(
            f"{path}: no column {missing[0]!r}; it has {', '.join(filter(None, head)) or 'none'}, and "
            f"{', '.join(columns)} are needed"
        )
    places = {name: head.index(name) for name in columns}
    for number, cells in rows:
        yield number, {name: cells[at].strip() if at < len(cells) else "" for name, at in places.items()}


def listed_labels(path: Path) -> set[str]:
    """The first cells of a CSV file, such as VGGSound's `stat.csv`. Raises UserError if there are none."""
    found = {cells[0] for _, cells in csv_rows(path) if cells[0]}
    if not found:
        raise UserError(f"{path}: no label in it; a label a row is needed, in the first column")
    return found
