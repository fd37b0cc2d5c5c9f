"""Shared by all subcommands that make shards: the size of clips, the output folder, and its summary."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.curation.flags import NATIVE
from mtv_jax.curation.settings import Layout
from mtv_jax.data.manifests import MANIFEST
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.files import check_output, disk_errors, remove_leftovers
from mtv_jax.io.limits import check_clip
from mtv_jax.io.lock import FolderLock
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.weights.model_index import MAESTRO, default_clip_size, read_class


def clip_size(
    encoders: str,
    *,
    num_frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    fps: Fraction | float | str | None = None,
    force: bool = False,
) -> ClipSize:
    """The size of clips to make; what is None is as the pipeline `encoders` (a folder or preset) was trained.

    Raises UserError for a pipeline that there is not, and for a size out of bounds unless `force`.
    """
    folder = pipeline_folder(encoders)
    size = default_clip_size(folder)
    size = size.replace(num_frames=num_frames, height=height, width=width)
    if fps == NATIVE:
        size = replace(size, native_rate=True)
    elif fps is not None:
        size = size.replace(fps=fps, native_rate=False)
    check_clip(size.num_frames, size.fps, size.height, size.width, force=force)
    # Maestro codes pictures, each alone.
    size.check(frames=1 if read_class(folder) == MAESTRO else 4)
    return size


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Raises UserError if shards cannot be written to `out`, or are there already and may not be replaced."""
    check_output(out, folder=True, overwrite=overwrite, marks=[MANIFEST])


_DEAD = 3600.0
"""Seconds after which a temporary file in `work/`, to which commands like `status` write without the lock, is left."""


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """The folder of the shards, for this process alone. Raises UserError if another is writing to it."""
    with FolderLock(out, "--out"), disk_errors(out, out):
        remove_leftovers(out)
        remove_leftovers(Layout(out).work, unchanged=_DEAD)
        yield


def summary(out: Path, manifest: Mapping[str, Any]) -> str:
    """What is in finished shards: a line for all, and one for each subset."""
    frames, shards = manifest["num_frames"], len(manifest["shards"])
    rate = (
        "the rate of each video" if manifest["fps"] is None else f"{float(Fraction(*manifest['fps'])):g} fps"
    )
    lines = [f"{out}: {manifest['num_records']} clips of {frames} frames at {rate} in {shards} shards"]
    lines += [f"  {subset['subset']}: {subset['count']} clips" for subset in manifest["subsets"]]
    return "\n".join(lines)


def warn_of_left_out(left_out: Mapping[str, str]) -> None:
    """Prints a warning with a line for each video (name -> reason) that has no clip, if there are any."""
    if left_out:
        print(f"warning: {len(left_out)} video{'s' if len(left_out) > 1 else ''} left out:", file=sys.stderr)
    for name, reason in left_out.items():
        print(f"  {name}: {reason}", file=sys.stderr)
