"""Files that are either whole or not there."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from mtv_jax.io.errors import UserError
from mtv_jax.io.json_text import MOST_BYTES, decode_text, kind_of, parse_json

_TEMPORARY = ".tmp-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""How a disk refuses what is written to it."""
_PROBE = bytes(1 << 16)
_BLOCK = 4096
"""Bytes that a disk gives to a file at once, on nearly all of them."""


def check_output(
    path: str | os.PathLike,
    *,
    folder: bool = False,
    overwrite: bool = True,
    marks: Sequence[str] = (),
    inputs: Iterable[str | os.PathLike] = (),
) -> Path:
    """`path`, if a file (or a folder) can be written there; to be called before any work is done for it.

    Args:
      path: what the user gave.
      folder: whether a folder is to be written, rather than a file.
      overwrite: whether what is there may be replaced.
      marks: names in a folder; one that is there says that the folder holds a result, which is what `overwrite` is
        about. Other files in it do not matter.
      inputs: files and folders that are read, and so must not be replaced.

    Raises UserError: a folder where a file is wanted or the reverse, a name that is too long, a parent that is a file,
    a place that cannot be written (read-only, full), something there that may not be replaced, one of the inputs.
    """
    path = Path(path)
    with _told_as(path):
        _check_kind(path, folder=folder)
        for result in [path / mark for mark in marks] if folder else [path]:
            _check_absent(result, overwrite=overwrite)
            if any(result.exists() and Path(read).exists() and result.samefile(read) for read in inputs):
                raise UserError(
                    f"{result}: is read here, so it cannot be what is written; give another --out"
                )
        _check_writable(path if path.is_dir() else path.parent)
    return path


def check_outputs(
    paths: Sequence[Path], *, overwrite: bool, inputs: Iterable[str | os.PathLike] = ()
) -> None:
    """`check_output` of several files of one folder, in which is written but once."""
    check_output(paths[0], overwrite=overwrite, inputs=inputs)
    for path in paths[1:]:
        with _told_as(path):
            _check_kind(path, folder=False)
            _check_absent(path, overwrite=overwrite)


def _check_absent(path: Path, *, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise UserError(f"{path}: exists already; give --overwrite to replace it, or another --out")


@contextlib.contextmanager
def _told_as(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(path, error.errno or errno.EIO) from error
    except ValueError as error:
        raise UserError(f"{str(path)!r}: not a name for a file ({error})") from error


def _check_kind(path: Path, *, folder: bool) -> None:
    """Raises UserError, or the OSError of a name that is too long."""
    above = [path, *path.parents]
    there = next(place for place in above if _exists(place))
    if there == path:
        if folder and not path.is_dir():
            raise UserError(f"{path}: is a file; a folder is wanted")
        if not folder and path.is_dir():
            raise UserError(f"{path}: is a folder; a file is wanted")
        if not folder and not path.is_file():
            raise UserError(f"{path}: is not a file that can be replaced")
        return
    if not there.is_dir():
        raise UserError(f"{path}: {there} is a file, so nothing can lie below it")
    for missing in above[: above.index(there)]:
        _exists(there / missing.name)  # alone, so that its length is looked at


def _exists(path: Path) -> bool:
    """Whether something is at `path`, at the end of its links. Raises OSError for a name that cannot be."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _check_writable(folder: Path) -> None:
    """Raises OSError unless a little can be written into a folder, or into what there is above it."""
    while not folder.is_dir():
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder, prefix=_TEMPORARY) as file:
        _write_probe(file)


def remove_leftovers(folder: Path) -> None:
    """Removes what a killed process left half written in a folder. Only for one who holds the folder's lock."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class DiskError(UserError, OSError):
    """The disk did not take what was written to `path`; it is full, for example.

    An OSError too, with its number, for those who can go on without the file.
    """

    def __init__(self, path: str | os.PathLike, number: int):
        self.message = f"{os.fspath(path)}: cannot be written ({os.strerror(number)})"
        super().__init__(self.message)
        self.number = self.errno = number
        self.strerror = os.strerror(number)

    def __str__(self) -> str:
        return self.message


@contextlib.contextmanager
def told_of(path: str | os.PathLike, temporary: Path) -> Iterator[None]:
    """Errors of the disk in the block name `path`, not the `temporary` file or folder that is written to.

    Libraries tell of a full disk in as many ways as there are; so after a failure the disk itself is asked. The
    outermost of several such blocks has the last word. Raises DiskError, and other errors as they are.
    """
    try:
        yield
    except DiskError as error:
        raise DiskError(path, error.number) from error
    except UserError:
        raise
    except Exception as error:
        number = _number(error, temporary)
        if number is None:
            raise
        raise DiskError(path, number) from error


def _number(error: Exception, temporary: Path) -> int | None:
    """The system's number for why the disk refused `temporary`; None if `error` is about something else."""
    if isinstance(error, OSError) and error.errno is not None:
        named = str(error.filename or "").startswith(str(temporary))
        if named or (error.filename is None and error.errno in _FULL):
            return error.errno
    told = [number for number in _FULL if os.strerror(number) in str(error)]
    if told:
        return told[0]
    try:
        if temporary.is_dir():
            _check_writable(temporary)
        else:
            with open(temporary, "ab") as file:
                _write_probe(file)
    except OSError as refused:
        return refused.errno
    return None


def _flush(path: Path) -> None:
    """Brings a file to the disk. Raises OSError if that is full: what did not fit libsndfile drops without a word."""
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.write(bytes(2 * _BLOCK))  # more than what may be left of the last block
        file.flush()
        file.truncate(size)
        os.fsync(file.fileno())


def _write_probe(file: IO[bytes]) -> None:
    file.write(_PROBE)
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `path` that is flushed and renamed to it if the block succeeds.

    The temporary name keeps the suffix, since encoders choose a format by it, and no more of the name, which may be
    as long as a name can be. Raises DiskError, naming `path`, if the disk is full or cannot be written.
    """
    path = Path(path)
    with told_of(path, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = path.suffix if len(path.suffix) < 16 else ""
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY, suffix=suffix)
    temporary = Path(name)
    try:
        os.close(handle)
        with told_of(path, temporary):
            yield temporary
            _flush(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary directory beside `path`; it replaces `path` if the block succeeds."""
    path = Path(os.path.realpath(path)) if Path(path).is_symlink() else Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=_TEMPORARY))
    former = temporary.with_name(f"{temporary.name}-former")
    try:
        with told_of(path, temporary):
            yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        if path.exists():
            os.replace(path, former)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


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
