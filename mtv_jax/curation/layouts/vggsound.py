"""VGGSound (Chen et al., "VGGSound: A Large-scale Audio-Visual Dataset", ICASSP 2020).

A row of its `vggsound.csv`, which has no head, is `YouTube ID, start seconds, label, train/test split`. The clip of
10 s from there is `ID_SSSSSS.mp4`, with the start in six digits. Many videos are gone from YouTube, so rows without a
file are left out.
"""

from collections.abc import Sequence, Set
from pathlib import Path
from typing import cast, get_args

from mtv_jax.curation.layouts.base import Entry, Listing, check_rows, left_out, videos_by_name
from mtv_jax.curation.layouts.tables import csv_rows
from mtv_jax.curation.sources import Split
from mtv_jax.io.errors import UserError

_COLUMNS = "YouTube ID, start seconds, label, split"
_MOST_SECONDS = 999_999
"""The name of a file has six digits."""


def read_vggsound(videos: Path, table: Path, labels: Set[str] | None) -> Listing:
    """The clips of a table that are in a folder or its subfolders.

    Args:
      videos: the folder.
      table: `vggsound.csv`.
      labels: those that there may be; None: any.

    Raises:
      UserError: rows without the four columns, with a start, label or split that is none, or of one clip; or no clip of
        the table is in the folder.
    """
    files = videos_by_name(videos)
    entries: list[Entry] = []
    missing: list[str] = []
    problems: list[str] = []
    rows: dict[str, int] = {}
    for number, cells in csv_rows(table):
        problem = _problem(cells, labels)
        if problem is None:
            name = f"{cells[0]}_{int(cells[1]):06d}"
            if (first := rows.setdefault(name, number)) != number:
                problem = f"the clip {name} is that of row {first}, too"
        if problem is not None:
            problems.append(f"row {number}: {problem}")
        elif name in files:
            entries.append(_entry(files[name], cells))
        else:
            missing.append(name)
    check_rows(table, problems)
    if not entries:
        raise UserError(f"{videos}: no clip of {table} in it; files are named ID_SSSSSS.mp4")
    unnamed = sorted(path for name, path in files.items() if name not in rows)
    notes = left_out(f"clips of {table.name} have no file", missing)
    notes += left_out(f"videos are not in {table.name}", unnamed)
    return Listing(sorted(entries, key=lambda entry: entry.path), notes)


def _entry(path: str, cells: Sequence[str]) -> Entry:
    video, _, label, split = cells
    return Entry(path, label, cast(Split, split), video, f"https://www.youtube.com/watch?v={video}")


def _problem(cells: Sequence[str], labels: Set[str] | None) -> str | None:
    """What is wrong with a row."""
    if len(cells) != 4:
        return f"{len(cells)} columns; {_COLUMNS} are needed"
    video, start, label, split = cells
    if not video:
        return "no YouTube ID"
    if not start.isascii() or not start.isdigit() or int(start) > _MOST_SECONDS:
        return f"start {start!r}: must be whole seconds"
    if not label:
        return "no label"
    if labels is not None and label not in labels:
        return f"unknown label {label!r}"
    if split not in get_args(Split):
        return f"split {split!r}: must be {' or '.join(get_args(Split))}"
    return None
