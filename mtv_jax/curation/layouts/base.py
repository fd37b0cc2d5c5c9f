"""What the readers of layouts have in common: entries, their splits, and the videos of a folder."""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtv_jax.curation.sources import UNKNOWN_LICENCE, Split
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, is_hidden
from mtv_jax.io.video_folders import VIDEO_SUFFIXES

_MOST_ERRORS = 5
"""Problems of a table that one error message quotes."""


@dataclass(frozen=True)
class Entry:
    """A video of a data set.

    Attributes:
      path: of the file, in the folder of the videos.
      label: of its class, which is its prompt, too.
      split: as the data set has it; None: it does not say.
      recording: what the file is a part of; None: of nothing longer.
      url: where it is from.
    """

    path: str
    label: str
    split: Split | None = None
    recording: str | None = None
    url: str | None = None

    def to_line(self, folder: str) -> dict[str, Any]:
        """Its line of a `sources.jsonl`, from where the videos are in `folder`."""
        path = os.path.normpath(os.path.join(folder, self.path))
        line = {"path": path, "licence": UNKNOWN_LICENCE, "url": self.url, "prompt": self.label}
        line |= {"label": self.label, "split": self.split, "recording": self.recording}
        return {key: value for key, value in line.items() if value is not None}


@dataclass(frozen=True)
class Listing:
    """The entries of a data set, by path, and what was left out, in lines."""

    entries: Sequence[Entry]
    notes: Sequence[str] = ()


def videos_below(folder: Path) -> list[str]:
    """The paths in the folder of all videos in it and its subfolders, in order.

    Raises UserError if there is no such folder, or no video in it.
    """
    paths = (path for path in existing_directory(folder).rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    inside = [path.relative_to(folder) for path in paths if path.is_file()]
    found = sorted(
        path.as_posix() for path in inside if not any(is_hidden(Path(part)) for part in path.parts)
    )
    if not found:
        raise UserError(f"{folder}: no video in it")
    return found


def videos_by_name(folder: Path) -> dict[str, str]:
    """Name without suffix -> path of `videos_below`. Raises UserError as that, and for two videos of one name."""
    found: dict[str, str] = {}
    for path in videos_below(folder):
        if (other := found.setdefault(Path(path).stem, path)) != path:
            raise UserError(f"{folder}: {other} and {path} have one name; remove one of them")
    return found


def check_rows(path: Path, problems: Sequence[str]) -> None:
    """Raises UserError, in one line, for the problems of a table."""
    if problems:
        more = f"; and {len(problems) - _MOST_ERRORS} more" if len(problems) > _MOST_ERRORS else ""
        raise UserError(f"{path}: {'; '.join(problems[:_MOST_ERRORS])}{more}")


def left_out(what: str, names: Sequence[str]) -> list[str]:
    """A line that counts what is odd about some names, and has the first; none if there are none."""
    return [f"{len(names)} {what} (first: {names[0]})"] if names else []


def divided(listing: Listing, test: int | None) -> Listing:
    """The listing with splits: the data set's own or, if `test` is given, drawn anew.

    The splits share no recording: what the data set has for training, of a recording that it has for testing as well,
    is left out. `test` is as for `draw_test`; 0 leaves the draw to `curate pack`.
    """
    if test is not None:
        plain = [dataclasses.replace(entry, split=None) for entry in listing.entries]
        return Listing(draw_test(plain, test) if test else plain, listing.notes)
    held_out = {entry.recording for entry in listing.entries if entry.split == "test"} - {None}
    kept: list[Entry] = []
    both: list[str] = []
    for entry in listing.entries:
        if entry.split == "train" and entry.recording in held_out:
            both.append(entry.path)
        else:
            kept.append(entry)
    note = left_out("videos for training are of recordings that are for testing, too", both)
    return Listing(kept, [*listing.notes, *note])


def draw_test(entries: Sequence[Entry], wanted: int) -> list[Entry]:
    """The entries with splits, of which about `wanted` are held out: whole recordings, drawn by their hashes.

    Raises UserError if more than half are wanted.
    """
    if wanted * 2 > len(entries):
        raise UserError(f"--test {wanted}: there are {len(entries)} videos; hold out at most half of them")
    recordings: dict[str, int] = {}
    for entry in entries:
        name = entry.recording or entry.path
        recordings[name] = recordings.get(name, 0) + 1
    chosen = _chosen(recordings, wanted)
    return [
        dataclasses.replace(entry, split="test" if (entry.recording or entry.path) in chosen else "train")
        for entry in entries
    ]


def _chosen(sizes: Mapping[str, int], wanted: int) -> set[str]:
    chosen: set[str] = set()
    held = 0
    for name in _by_hash(sizes):
        if abs(held + sizes[name] - wanted) < abs(held - wanted):
            chosen.add(name)
            held += sizes[name]
    return chosen


def _by_hash(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"test {name}".encode()).hexdigest())
