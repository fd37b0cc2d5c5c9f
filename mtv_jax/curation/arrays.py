"""The arrays of clips, on disk once: in `work/` until they are packed, and from then on in the shards.

They are most of what a clip takes. The file of a clip whose arrays are in the shards is empty; it says that the clip is
encoded. To pack anew, they are taken back first, so that no array is ever in files that are being replaced only.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from mtv_jax.curation.settings import Layout
from mtv_jax.data.manifests import MANIFEST
from mtv_jax.data.records import pack_arrays, unpack_arrays
from mtv_jax.data.shards import ShardSet, open_shards
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


def take_back(layout: Layout, clips: Iterable[Mapping[str, Any]]) -> None:
    """Writes the arrays of clips that are in the shards only into their folders.

    Raises UserError if there are some that no shard has; their clips are then to be encoded again.
    """
    folders = {clip["clip"]: layout.clip(clip) for clip in clips}
    wanted = {clip: folder for clip, folder in folders.items() if not (folder / ARRAYS).stat().st_size}
    for shards in _packed(layout) if wanted else ():
        for number in progress(len(shards), "taking arrays back from the shards"):
            record = shards.read(number)
            if record.id in wanted:
                write_clip_arrays(wanted.pop(record.id), record.id, record.arrays)
    for folder in wanted.values():
        (folder / ARRAYS).unlink()
    if wanted:
        raise UserError(
            f"{layout.out}: the shards with the arrays of {len(wanted)} clips are gone; "
            "`python -m mtv_jax.curate run` encodes those clips again"
        )


def forget_lost(layout: Layout) -> None:
    """If there are no shards, removes the empty files that say that arrays are in them."""
    if not (layout.out / MANIFEST).exists():
        for path in layout.work.glob(f"films/*/*/*/{ARRAYS}"):
            if not path.stat().st_size:
                path.unlink()


def _packed(layout: Layout) -> list[ShardSet]:
    """The shards that are there and whole, as far as their sizes say."""
    found = []
    for folder in (layout.out, layout.test):
        try:
            found.append(open_shards(folder))
        except UserError:
            continue
    return found
