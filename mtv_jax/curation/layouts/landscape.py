"""Landscape (Lee et al., "Sound-Guided Semantic Video Generation", ECCV 2022): clips of 10 s of nature, nine classes.

A class is a folder of clips, `splashing_water/TITLE_7.mp4`; `train/` and `test/` may be above the classes. Clips are
cut from longer videos of YouTube. Their names end in the number of the clip, or in its start and end, `TITLE-12_22`;
what is before names the recording.
"""

import re
from collections.abc import Mapping, Set
from pathlib import Path

from mtv_jax.curation.layouts.base import Entry, Listing, check_rows, draw_test, videos_below
from mtv_jax.curation.sources import Split
from mtv_jax.io.errors import UserError

_HELD_OUT, _MOST_HELD_OUT = 100, 10
"""Clips for testing: Maestro's 100 of 1,000, and at most one in so many of a smaller set."""
_SPLITS: Mapping[str, Split] = {"train": "train", "test": "test"}
_OF_RECORDING = re.compile(r"(-\d+(\.\d+)?_\d+(\.\d+)?|(_clip)?_\d+)$")


def read_landscape(videos: Path, labels: Set[str] | None) -> Listing:
    """The clips of a folder of classes.

    Args:
      videos: the folder.
      labels: those that there may be; None: any.

    Raises:
      UserError: a clip that is in no folder of a class, an unknown class, or `train/` or `test/` beside other folders.
    """
    entries, problems = [], []
    for path in videos_below(videos):
        *folders, name = path.split("/")
        split = _SPLITS.get(folders[0]) if folders else None
        if split is not None:
            del folders[0]
        if len(folders) != 1:
            problems.append(f"{path}: must be CLASS/NAME, or that in train/ or test/")
            continue
        label = folders[0].replace("_", " ")
        if labels is not None and label not in labels:
            problems.append(f"{path}: unknown label {label!r}")
            continue
        entries.append(Entry(path, label, split, _OF_RECORDING.sub("", Path(name).stem)))
    check_rows(videos, problems)
    divided = {entry.split is not None for entry in entries}
    if len(divided) > 1:
        raise UserError(f"{videos}: some classes are in train/ or test/ and some are not; move them")
    if divided == {True}:
        return Listing(entries)
    return Listing(draw_test(entries, min(_HELD_OUT, len(entries) // _MOST_HELD_OUT)))
