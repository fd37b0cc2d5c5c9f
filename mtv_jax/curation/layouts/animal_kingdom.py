"""Animal Kingdom (Ng et al., CVPR 2022), its long videos: those of video grounding, 4,301 of 50 hours.

    video_grounding/dataset/AABGBPZC.mp4
    video_grounding/annotation/train.txt, test.txt    AABGBPZC 4.7 10.8##The bordered mantis is moving.
    action_recognition/AR_metadata.xlsx               its sheet `Animal`: columns `Animal` and `Parent Class`

The annotations name animals and not their classes, which are Maestro's labels. A video has the class of the animals
that its sentences are about, by the seconds that they describe; the subject of a sentence is the animal that it names
first. The paper does not say how it found them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from mtv_jax.curation.layouts.base import Entry, Listing, check_rows, left_out, videos_by_name
from mtv_jax.curation.layouts.tables import named_rows
from mtv_jax.curation.sources import Split
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, read_text

SHEET = "Animal"
_ANIMAL, _CLASS = "Animal", "Parent Class"
_LINE = re.compile(r"(\S+) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)##(.+)")


def read_classes(path: Path) -> dict[str, str]:
    """Animal -> class, in small letters, of `AR_metadata.xlsx` or of a CSV file with the columns of its sheet.

    A class is an animal, too ("the bird is flying"). Raises UserError for an animal without a class, or with two.
    """
    found: dict[str, str] = {}
    problems = []
    for number, row in named_rows(path, SHEET, (_ANIMAL, _CLASS)):
        animal, kind = row[_ANIMAL].lower(), row[_CLASS].lower()
        if not animal or not kind:
            problems.append(f"row {number}: no {_CLASS if animal else _ANIMAL}")
        elif found.setdefault(animal, kind) != kind:
            problems.append(f"row {number}: {animal} is of {kind} and of {found[animal]}")
    check_rows(path, problems)
    if not found:
        raise UserError(f"{path}: no animal in it")
    return {kind: kind for kind in found.values()} | found


@dataclass
class _Video:
    split: Split
    seconds: dict[str, float] = field(default_factory=dict)


def read_animal_kingdom(videos: Path, tables: Sequence[Path], classes: Mapping[str, str]) -> Listing:
    """The videos of a folder that annotations describe.

    Args:
      videos: the folder.
      tables: `train.txt` and `test.txt`; their names say the split. A video that is in both is for testing.
      classes: animal -> class (`read_classes`).

    Raises:
      UserError: a table of another name, lines of another form, or no video of the tables in the folder.
    """
    files = videos_by_name(videos)
    described = _describe(tables, classes)
    missing = sorted(name for name in described if name not in files)
    unnamed = sorted(name for name, video in described.items() if name in files and not video.seconds)
    extra = sorted(path for name, path in files.items() if name not in described)
    entries = [
        Entry(path, _most(described[name].seconds), described[name].split)
        for name, path in files.items()
        if name in described and described[name].seconds
    ]
    if not entries:
        raise UserError(f"{videos}: no video in it whose class the annotations tell; files are named ID.mp4")
    notes = left_out("described videos have no file", missing)
    notes += left_out("videos have no sentence about a known animal", unnamed)
    notes += left_out("videos are not described", extra)
    return Listing(sorted(entries, key=lambda entry: entry.path), notes)


def _describe(tables: Sequence[Path], classes: Mapping[str, str]) -> dict[str, _Video]:
    """Video -> its split, and class -> the seconds of sentences about its animals."""
    names = sorted(classes, key=len, reverse=True)  # the longest name at a place is the one that is meant
    animal = re.compile(rf"\b({'|'.join(map(re.escape, names))})(?:s|es)?\b")
    found: dict[str, _Video] = {}
    for table in tables:
        split, problems = _split_of(table), []
        for number, line in enumerate(read_text(existing_file(table)).splitlines(), 1):
            parts = _LINE.fullmatch(line.strip())
            if parts is None or float(parts[3]) < float(parts[2]):
                if line.strip():
                    problems.append(f"line {number}: must be `ID START END##SENTENCE`")
                continue
            video = found.setdefault(parts[1], _Video(split))
            video.split = "test" if split == "test" else video.split
            if subject := animal.search(parts[4].lower()):
                kind, seconds = classes[subject[1]], float(parts[3]) - float(parts[2])
                video.seconds[kind] = video.seconds.get(kind, 0.0) + seconds
        check_rows(table, problems)
    return found


def _split_of(table: Path) -> Split:
    if table.stem not in get_args(Split):
        raise UserError(f"{table}: must be named train.txt or test.txt, which says its split")
    return cast(Split, table.stem)


def _most(seconds: Mapping[str, float]) -> str:
    """The class with most seconds; of equal ones the first by name."""
    return min(seconds, key=lambda name: (-seconds[name], name))
