"""Atomic writing of files and folders, checks of output paths, and strict reading."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from mtv_jax.io.errors import UserError
from mtv_jax.io.json_text import MOST_BYTES, decode_text, kind_of, parse_json

_TEMPORARY = ".tmp-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Error numbers of a disk that rejects a write."""
_PROBE = bytes(1 << 16)
_BLOCK = 4096
"""Allocation unit of nearly all file systems, in bytes."""


def check_output(
    path: str | os.PathLike,
    *,
    folder: bool = False,
    overwrite: bool = True,
    marks: Sequence[str] = (),
    inputs: Iterable[str | os.PathLike] = (),
) -> Path:
    """Returns `path` if a file (or a folder) can be written there. Call it before starting any work.

    Args:
      path: the output path given by the user.
      folder: whether the output is a folder rather than a file.
      overwrite: whether an existing result may be replaced.
      marks: file names in an output folder; if one of them exists, the folder holds a result, to which `overwrite`
        applies. Other files in the folder are ignored.
      inputs: files and folders that are read, and so must not be replaced.

    Raises:
      UserError: `path` is a folder where a file is needed or the reverse, its name is too long, a parent is a file,
        it cannot be written (read-only, full), an existing result must not be replaced, or it is one of the inputs.
    """
    path = Path(path)
    with _named(path):
        _check_kind(path, folder=folder)
        for result in [path / mark for mark in marks] if folder else [path]:
            _check_absent(result, overwrite=overwrite)
            if any(result.exists() and Path(read).exists() and result.samefile(read) for read in inputs):
                raise UserError(
                    f"{result}: is an input of this command, so it cannot be its output; give another --out"
                )
        _check_writable(path if path.is_dir() else path.parent)
    return path


def check_outputs(
    paths: Sequence[Path], *, overwrite: bool, inputs: Iterable[str | os.PathLike] = ()
) -> None:
    """`check_output` for several files of one folder, whose writability is checked once."""
    check_output(paths[0], overwrite=overwrite, inputs=inputs)
    for path in paths[1:]:
        with _named(path):
            _check_kind(path, folder=False)
            _check_absent(path, overwrite=overwrite)


def _check_absent(path: Path, *, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise UserError(f"{path}: exists already; give --overwrite to replace it, or another --out")


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors in the block name `path`."""
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
        raise UserError(f"{path}: {there} is a file, so it cannot contain anything")
    for missing in above[: above.index(there)]:
        _exists(there / missing.name)  # on its own, so that its length is checked


def _exists(path: Path) -> bool:
    """Whether `path` exists, following links. Raises OSError for an invalid name."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _check_writable(folder: Path) -> None:
    """Raises OSError unless a small file can be written into a folder, or into its nearest existing parent."""
    while not folder.is_dir():
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder, prefix=_TEMPORARY) as file:
        _write_probe(file)


def remove_leftovers(folder: Path, *, unchanged: float = 0.0) -> None:
    """Removes temporary files that a killed process left in a folder, and that are `unchanged` for so many seconds.

    The caller must hold the folder's lock, or leave time to processes that write there without it.
    """
    for path in folder.glob(f"{_TEMPORARY}*"):
        if unchanged and time.time() - path.stat().st_mtime < unchanged:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class DiskError(UserError, OSError):
    """Writing to `path` failed, because the disk is full, for example.

    It is also an OSError with an error number, for callers that can do without the file.
    """

    def __init__(self, path: str | os.PathLike, number: int):
        self.message = f"{os.fspath(path)}: cannot be written ({os.strerror(number)})"
        super().__init__(self.message)
        self.number = self.errno = number
        self.strerror = os.strerror(number)

    def __str__(self) -> str:
        return self.message


@contextlib.contextmanager
def disk_errors(path: str | os.PathLike, temporary: Path) -> Iterator[None]:
    """Converts disk errors in the block to a DiskError that names `path`, not the `temporary` file written to.

    Libraries report a full disk in different ways, so after a failure the disk itself is tested. Of nested blocks the
    outermost determines the name. Other errors are raised unchanged.
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
    """The error number with which the disk rejected `temporary`; None if `error` has another cause."""
    if isinstance(error, OSError) and error.errno is not None:
        named = str(error.filename or "").startswith(str(temporary))
        if named or (error.filename is None and error.errno in _FULL):
            return error.errno
    numbers = [number for number in _FULL if os.strerror(number) in str(error)]
    if numbers:
        return numbers[0]
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
    """Flushes a file to disk. Raises OSError if the disk is full, which libsndfile ignores silently."""
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.write(bytes(2 * _BLOCK))  # more than the space left in the last block
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

    The temporary name keeps only the suffix, by which encoders choose a format, since the name itself may already have
    the maximum length. Raises DiskError, naming `path`, if the disk is full or cannot be written.
    """
    path = Path(path)
    with disk_errors(path, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = path.suffix if len(path.suffix) < 16 else ""
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY, suffix=suffix)
    temporary = Path(name)
    try:
        os.close(handle)
        with disk_errors(path, temporary):
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
        with disk_errors(path, temporary):
            yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        if path.exists():
            os.replace(path, former)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


@contextlib.contextmanager
def staging(folder: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary directory inside `folder`, for files that are moved out of it once all are complete.

    A missing folder is created, and removed again if it stays empty. Of a killed process the directory remains:
    `remove_leftovers`. Raises DiskError, naming `folder`, if the disk is full or cannot be written.
    """
    folder = Path(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    temporary = None
    try:
        with disk_errors(folder, folder):
            folder.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=folder, prefix=_TEMPORARY))
        with disk_errors(folder, temporary):
            yield temporary
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            for path in missing:
                path.rmdir()


def link_tree(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copies a folder like `copy_tree`, but hard-links files where possible, so that large ones take no extra space.

    Files written by this package are replaced by renaming, never changed in place, so a link keeps its content.
    """
    _copy_tree(Path(source), Path(target), _link)


def copy_tree(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copies a folder, resolving links (such as a snapshot in a Hugging Face cache) to real files and folders.

    Hidden files are skipped. Raises UserError for a broken link, or a link to a folder that contains it.
    """
    _copy_tree(Path(source), Path(target), shutil.copy2)


def _copy_tree(source: Path, target: Path, copy: Callable[[str, str], object]) -> None:
    target.mkdir(parents=True)
    for path in visible(source):
        real = _resolved(path)
        if real.is_dir():
            if source.resolve().is_relative_to(real):
                raise UserError(f"{path}: a link to a folder that contains it")
            _copy_tree(path, target / path.name, copy)
        else:
            # The target, not the link: a relative link would break in another folder (cpython#81793).
            copy(os.fspath(real), os.fspath(target / path.name))


def _resolved(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise UserError(f"{path}: a broken link (to {os.path.realpath(path)})") from error


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes `text` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_text(path: str | os.PathLike) -> str:
    """Reads a UTF-8 file, without its byte order mark. Raises UserError if it is missing or not UTF-8."""
    path = existing_file(path)
    return decode_text(path.read_bytes(), path)


def read_json(path: str | os.PathLike) -> Any:
    """Reads a JSON file. Raises UserError if it is missing or invalid (`mtv_jax.io.json_text`)."""
    path = existing_file(path)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise UserError(f"{path}: {size:,} bytes: at most {MOST_BYTES:,} are read as JSON")
    return parse_json(path.read_bytes(), path)


def read_json_object(path: str | os.PathLike) -> dict[str, Any]:
    """Like `read_json`, for a file that must hold an object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f'{path}: holds {kind_of(value)}; an object is needed, such as {{"key": 1}}')
    return value


def visible(directory: str | os.PathLike) -> list[Path]:
    """The entries of a folder, sorted by name, without hidden files and folders.

    Those belong to other programs and often match the names searched for: macOS writes `._clip.mp4` beside `clip.mp4`
    and `._model.safetensors` beside the weights, downloads leave `.cache/`.
    """
    return sorted(path for path in existing_directory(directory).iterdir() if not is_hidden(path))


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is hidden, by its name (`__MACOSX`: the folder of such files in zip files of macOS)."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def existing_file(path: str | os.PathLike) -> Path:
    """Returns `path` if it is a readable file, else raises UserError."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: not a file")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path}: not readable (permission denied)")
    return path


def existing_directory(path: str | os.PathLike) -> Path:
    """Returns `path` if it is a directory, else raises UserError."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such directory")
    if not path.is_dir():
        raise UserError(f"{path}: not a directory")
    return path


def shown(path: str | os.PathLike) -> str:
    """A path as one line of text: line breaks and bytes that are not UTF-8 are written as escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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
