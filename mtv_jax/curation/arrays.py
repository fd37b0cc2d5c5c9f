"""The arrays of clips, on disk once: in `work/` until they are packed, and from then on in the shards.

They are most of what a clip takes. The file of a clip whose arrays are in the shards is empty; it says that the clip is
encoded. To pack anew, they are taken back first, so that no array is ever in files that are being replaced only.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from mtv_jax.curation.settings import Layout
from mtv_jax.data.manifests import MANIFEST, read_manifest
from mtv_jax.data.records import ClipRecord, pack_arrays, unpack_arrays
from mtv_jax.data.shards import ShardSet, check_size
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path
from mtv_jax.io.progress import progress

ARRAYS = "arrays.msgpack"


def write_clip_arrays(folder: Path, clip: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays of a clip into its folder."""
    with atomic_path(folder / ARRAYS) as temporary:
        temporary.write_bytes(msgpack.packb(pack_arrays(clip, arrays)) or b"")


def read_clip_arrays(folder: Path) -> dict[str, np.ndarray]:
    """What `write_clip_arrays` wrote."""
    return unpack_arrays(msgpack.unpackb((folder / ARRAYS).read_bytes()))


def leave_to_shards(layout: Layout, clips: Iterable[Mapping[str, Any]]) -> None:
    """Empties the files of clips (rows of the verdicts) that are packed."""
    for clip in clips:
        path = layout.clip(clip) / ARRAYS
        if path.stat().st_size:
            os.truncate(path, 0)


def only_in_shards(layout: Layout) -> dict[str, Path]:
    """Clip -> folder, of those whose arrays are in the shards, as their empty files say; of any film."""
    files = layout.work.glob(f"films/*/*/*/{ARRAYS}")
    return {path.parent.name: path.parent for path in files if not path.stat().st_size}


def forget(folders: Iterable[Path]) -> None:
    """Removes the arrays of clips from their folders, so that they are encoded again when they are needed."""
    for folder in folders:
        (folder / ARRAYS).unlink()


def take_back(layout: Layout, folders: Mapping[str, Path], needed: Collection[str]) -> None:
    """Writes arrays that are in the shards only into the folders of their clips.

    Clips that are in no readable record are to be encoded again. Raises UserError if some of `needed` are.
    """
    wanted = dict(folders)
    for record in _records(layout) if wanted else ():
        if record.id in wanted:
            write_clip_arrays(wanted.pop(record.id), record.id, record.arrays)
    forget(wanted.values())
    lost = len(wanted.keys() & set(needed))
    if lost:
        raise UserError(
            f"{layout.out}: the shards with the arrays of {lost} clips are gone or damaged; "
            "`python -m mtv_jax.curate run` encodes those clips again"
        )


def forget_lost(layout: Layout) -> None:
    """Removes empty files of clips that are not in the shards, so that they are encoded again.

    The shards are read only if they have too few records; damage within them is found when arrays are taken back.
    """
    packed = only_in_shards(layout)
    if len(packed) > sum(map(len, _shards(layout))):
        there = {record.id for record in _records(layout)}
        forget(folder for clip, folder in packed.items() if clip not in there)


def record_bytes(layout: Layout) -> float:
    """Mean size of a record of the shards, 0 if there are none."""
    shards = [entry for shard in _shards(layout) for entry in shard.manifest["shards"]]
    return sum(entry["bytes"] for entry in shards) / max(sum(entry["count"] for entry in shards), 1)


def _shards(layout: Layout) -> Iterator[ShardSet]:
    """Each shard, by itself, that has the size in its manifest."""
    for folder in (layout.out, layout.test):
        try:
            manifest = read_manifest(folder / MANIFEST)
        except UserError:
            continue
        for entry in manifest["shards"]:
            try:
                check_size(folder / entry["name"], entry["bytes"])
            except UserError:
                continue
            yield ShardSet(folder, {**manifest, "shards": [entry], "num_records": entry["count"]})


def _records(layout: Layout) -> Iterator[ClipRecord]:
    """All records of the shards that can be read."""
    number_of_shards = sum(1 for _ in _shards(layout))
    for shards in progress(_shards(layout), "reading arrays from the shards", number_of_shards):
        for number in range(len(shards)):
            try:
                record = shards.read(number)
            except (UserError, OSError, RuntimeError, ValueError):  # RuntimeError: of Riegeli
                continue
            yield record
