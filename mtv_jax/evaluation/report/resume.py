"""Resumes a suite that was stopped: videos that it has generated are kept until its results are written."""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mtv_jax.io.files import atomic_path, read_json, write_json

T = TypeVar("T")

_ORIGIN = "origin.json"


def resumable(
    show: Callable[[Sequence[T]], Iterable[np.ndarray]], folder: Path, origin: Mapping[str, Any]
) -> Callable[[Sequence[T]], Iterator[np.ndarray]]:
    """Wraps `show` (`mtv_jax.evaluation.theatre.run.Show`) to keep its videos in `folder` and make only missing ones.

    `origin` (JSON) is everything that the videos depend on besides their cases; videos of another origin are removed.
    The result can be called once: cases are identified by their position only.
    """

    def resumed(cases: Sequence[T]) -> Iterator[np.ndarray]:
        _begin(folder, origin)
        files = [folder / f"{number:06d}.npz" for number in range(len(cases))]
        # Files are written in order, and atomically.
        done = next((number for number, file in enumerate(files) if not file.exists()), len(files))
        if done:
            print(f"{folder}: {done} of {len(files)} videos were made before", file=sys.stderr)
        for file in files[:done]:
            with np.load(file) as kept:
                yield kept["frames"]
        for file, frames in zip(files[done:], show(cases[done:]), strict=True):
            with atomic_path(file) as temporary:
                np.savez_compressed(temporary, frames=frames)
            yield frames

    return resumed


def _begin(folder: Path, origin: Mapping[str, Any]) -> None:
    kept = folder / _ORIGIN
    if kept.exists() and read_json(kept) == origin:
        return
    shutil.rmtree(folder, ignore_errors=True)
    write_json(kept, origin)
