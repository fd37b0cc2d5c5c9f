"""Sizes and SHA-256 of the files of a checkpoint: written once it is committed, checked before it is read.

Each of n processes hashes its share of the files and writes `hashes-<i>-of-<n>.json` into the
checkpoint's folder: `{"files": {path in the folder: [bytes, SHA-256]}, "of": number of files of all shares,
"sha256": of the first}`. Any number of processes may check them. A checkpoint without all n files was saved by an
older version, or a process was killed before writing its hashes.
"""

import hashlib
import json
import os
import re
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mtv_jax.io.files import sha256, write_text
from mtv_jax.training.failures import retried

_NAME = re.compile(r"hashes-(\d+)-of-(\d+)\.json")
# One core hashes .5 to 2 GB/s, a disk or network reads more. Hashing lets other Python threads run.
_THREADS = min(8, os.cpu_count() or 1)


def write_hashes(folder: Path, index: int = 0, count: int = 1) -> None:
    """Hashes the share of a committed checkpoint of process `index` of `count`. Raises OSError."""
    files_there = retried(lambda: _files(folder))
    share = files_there[index::count]
    with ThreadPoolExecutor(_THREADS) as pool:
        hashes = list(pool.map(lambda name: retried(lambda: _hash(folder / name)), share))
    files = dict(zip(share, hashes, strict=True))
    text = _json({"files": files, "of": len(files_there), "sha256": _digest(files)})
    write_text(folder / f"hashes-{index:05d}-of-{count:05d}.json", text)


def is_hashed(folder: Path) -> bool:
    """Whether every process wrote its hashes of a checkpoint, and together they cover every file."""
    found = _hash_files(folder)
    counts = {int(match[2]) for match, _ in found}
    try:
        totals = {json.loads(path.read_text(encoding="utf-8", errors="replace"))["of"] for _, path in found}
        hashed = _read_hashes(folder)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    # If processes saw different files, the sum of their shares differs from each total.
    return counts == {len(found)} and totals == {len(hashed)}


def check_hashes(
    folder: Path, index: int = 0, count: int = 1, *, items: Collection[str] | None = None
) -> None:
    """Verifies the share of the hashed files of process `index` of `count`.

    Args:
      folder: of the checkpoint.
      index: of the process, which checks every `count`-th file.
      count: number of processes that check.
      items: names of items; only their files are checked.

    Raises:
      ValueError: a file is missing or differs from what was saved, or hashes cannot be parsed.
      OSError: a file cannot be read after several attempts.
    """
    hashed = retried(lambda: _read_hashes(folder))
    names = sorted(name for name in hashed if items is None or name.split("/")[0] in items)

    def check(name: str) -> None:
        retried(lambda: _check_file(folder, name, *hashed[name]))

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(check, names[index::count]))


def _files(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise FileNotFoundError(2, "not there yet", str(folder))
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in paths)
    # Another process may still be writing its file, whose name begins with a dot.
    return sorted(name for name in names if not name.removeprefix(".").startswith("hashes-"))


def _hash(path: Path) -> tuple[int, str]:
    return path.stat().st_size, sha256(path)


def _hash_files(folder: Path) -> list[tuple[re.Match[str], Path]]:
    return [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]


def _read_hashes(folder: Path) -> dict[str, list[Any]]:
    """Path -> [bytes, SHA-256], of the files written so far."""
    hashed: dict[str, list[Any]] = {}
    for _, path in _hash_files(folder):
        hashed |= _parse(path)
    return hashed


def _parse(path: Path) -> dict[str, list[Any]]:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = json.loads(text)
        # Compares the text, not only the parsed digest: JSON parsing hides changes such as a duplicated name.
        if text == _json(content) and content["sha256"] == _digest(content["files"]):
            return content["files"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path.name}: damaged") from error
    raise ValueError(f"{path.name}: damaged")


def _digest(files: dict[str, Any]) -> str:
    return hashlib.sha256(_json(files).encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _check_file(folder: Path, name: str, size: int, digest: str) -> None:
    path = folder / name
    if not path.is_file():
        raise ValueError(f"{name}: gone")
    found = path.stat().st_size
    if found != size:
        raise ValueError(f"{name}: {size} bytes were saved, it has {found}")
    if sha256(path) != digest:
        raise ValueError(f"{name}: its SHA-256 is another than was saved")
