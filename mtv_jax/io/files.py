"""Files that are either whole or not there."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.io.json_text import MOST_BYTES, decode_text, kind_of, parse_json


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `path` that is flushed and renamed to it if the block succeeds.

    The temporary name keeps the suffix, since encoders choose a format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary directory beside `path`; it replaces `path` if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def link_tree(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copies a folder; files are linked instead where that can be, so large ones take no room twice.

    As `copy_tree`. What is written here is replaced by renaming, never changed in place, so a link stays what it was.
    """
    _copy_tree(Path(source), Path(target), _link)


def copy_tree(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copies a folder, which may be one of links (a snapshot in a Hugging Face cache), as real files and folders.

    Hidden ones are left out. Raises UserError for a link to nothing, or to a folder that it lies in.
    """
    _copy_tree(Path(source), Path(target), shutil.copy2)


def _copy_tree(source: Path, target: Path, copy: Callable[[str, str], object]) -> None:
    target.mkdir(parents=True)
    for path in visible(source):
        real = _resolved(path)
        if real.is_dir():
            if source.resolve().is_relative_to(real):
                raise UserError(f"{path}: a link to a folder that it lies in")
            _copy_tree(path, target / path.name, copy)
        else:
            # What it is, not the link: a relative one would lead nowhere from another folder (cpython#81793).
            copy(os.fspath(real), os.fspath(target / path.name))


def _resolved(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise UserError(f"{path}: a link to what is not there ({os.path.realpath(path)})") from error


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes `text` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_text(path: str | os.PathLike) -> str:
    """The text of a file in UTF-8, without a byte order mark. Raises UserError if it is missing or in no such text."""
    path = existing_file(path)
    return decode_text(path.read_bytes(), path)


def read_json(path: str | os.PathLike) -> Any:
    """Reads a JSON file. Raises UserError if it is missing, or not JSON as `mtv_jax.io.json_text` has it."""
    path = existing_file(path)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise UserError(f"{path}: {size:,} bytes: at most {MOST_BYTES:,} are read as JSON")
    return parse_json(path.read_bytes(), path)


def read_json_object(path: str | os.PathLike) -> dict[str, Any]:
    """As `read_json`, of a file that must hold an object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f'{path}: holds {kind_of(value)}; an object is needed, such as {{"key": 1}}')
    return value


def visible(directory: str | os.PathLike) -> list[Path]:
    """What is in a folder, by name, but for hidden files and folders.

    Those are notes of other programs, often under the names of what we look for: macOS writes `._clip.mp4` beside
    `clip.mp4` and `._model.safetensors` beside the weights, downloads leave `.cache/`.
    """
    return sorted(path for path in existing_directory(directory).iterdir() if not is_hidden(path))


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is hidden, by its name (`__MACOSX` is where zip files of macOS keep such files)."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def existing_file(path: str | os.PathLike) -> Path:
    """`path` if it is a readable file. Raises UserError otherwise."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: not a file")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path}: not readable (permission denied)")
    return path


def existing_directory(path: str | os.PathLike) -> Path:
    """`path` if it is a directory. Raises UserError otherwise."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such directory")
    if not path.is_dir():
        raise UserError(f"{path}: not a directory")
    return path


def sha256(path: str | os.PathLike) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
