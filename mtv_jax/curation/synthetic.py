"""Clips that are made, not cut from films: finished work is kept in parts, so that an interrupted run resumes."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack

from mtv_jax.io.files import atomic_path
from mtv_jax.io.progress import progress

_PART = 16  # clips in a file of finished work


def make_parts(
    work: Path, what: Any, count: int, finish: Callable[[int], dict[str, Any]], label: str
) -> list[Path]:
    """Files with what `finish` returns for each index, in order; those of the same `what` are there already are kept.

    Args:
      work: folder for them.
      what: identifies what is made, so that other work is not reused; JSON, other values as strings.
      count: indices.
      finish: makes one; its values are msgpack's.
      label: for the progress bar.
    """
    text = json.dumps(what, sort_keys=True, default=str)
    stamp = hashlib.sha256(text.encode()).hexdigest()[:16]
    parts = [work / f"{first:08d}-{stamp}.msgpack" for first in range(0, count, _PART)]
    for number, part in enumerate(progress(parts, f"{label} ({_PART} clips each)")):
        if not part.exists():
            done = [finish(index) for index in range(number * _PART, min((number + 1) * _PART, count))]
            with atomic_path(part) as temporary:
                temporary.write_bytes(msgpack.packb(done) or b"")
    return parts


def read_parts(parts: list[Path]) -> Iterator[dict[str, Any]]:
    """All that the files have, in order."""
    for part in parts:
        yield from msgpack.unpackb(part.read_bytes())
