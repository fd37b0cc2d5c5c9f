"""`python -m mtv_jax.curate sources`: the videos of a published data set as a `sources.jsonl`."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtv_jax.curation.layouts.animal_kingdom import read_animal_kingdom, read_classes
from mtv_jax.curation.layouts.base import Entry, Listing, divided
from mtv_jax.curation.layouts.landscape import read_landscape
from mtv_jax.curation.layouts.tables import listed_labels
from mtv_jax.curation.layouts.vggsound import read_vggsound
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output, existing_directory, write_text

SOURCES = "sources.jsonl"


@dataclass(frozen=True)
class Request:
    """What to list.

    Attributes:
      layout: one of `mtv_jax.curation.layouts.LAYOUTS`.
      videos: the folder of the videos.
      tables: the files that describe them.
      labels: a file that says which labels there are.
      test: videos to hold out instead of those that the data set does; 0: none; None: as it does.
    """

    layout: str
    videos: Path
    tables: Sequence[Path] = ()
    labels: Path | None = None
    test: int | None = None


def list_sources(request: Request, out: Path, *, overwrite: bool = False) -> tuple[str, Sequence[str]]:
    """Writes the list; what is in it, in a line, and what was left out, in lines.

    Raises UserError for files that do not fit the layout, and for an `out` that is not in the folder of the videos or
    above it, since a list names no files outside of its folder.
    """
    existing_directory(request.videos)
    check_output(out, overwrite=overwrite, inputs=[*request.tables, *filter(None, [request.labels])])
    folder = os.path.relpath(os.path.realpath(request.videos), os.path.realpath(out.parent))
    if folder.split(os.sep)[0] == os.pardir:
        raise UserError(f"--out {out}: must be in the folder of the videos, {request.videos}, or above it")
    found = divided(_read(request), request.test)
    lines = (json.dumps(entry.to_line(folder), ensure_ascii=False) for entry in found.entries)
    write_text(out, "".join(f"{line}\n" for line in lines))
    return _summary(out, found.entries), found.notes


def _read(request: Request) -> Listing:
    if request.layout == "landscape":
        if request.tables:
            raise UserError("--table: Landscape has none; its folders are the labels")
        return read_landscape(request.videos, _labels(request))
    if request.layout == "vggsound":
        if len(request.tables) != 1:
            raise UserError("--table: give VGGSound's vggsound.csv, once")
        return read_vggsound(request.videos, request.tables[0], _labels(request))
    if not request.tables or request.labels is None:
        raise UserError(
            "animal-kingdom: needs --table train.txt test.txt (of video_grounding/annotation) and --labels "
            "AR_metadata.xlsx (of action_recognition), which has the class of each animal"
        )
    return read_animal_kingdom(request.videos, request.tables, read_classes(request.labels))


def _labels(request: Request) -> set[str] | None:
    return None if request.labels is None else listed_labels(request.labels)


def _summary(out: Path, entries: Sequence[Entry]) -> str:
    splits = Counter(entry.split for entry in entries)
    labels = len({entry.label for entry in entries})
    told = ", ".join(f"{splits[name]} {name}" for name in ("train", "test") if splits[name])
    return f"{out}: {len(entries)} videos of {labels} labels: {told or 'not split'}"
