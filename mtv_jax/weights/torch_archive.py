"""The zip files that `torch.save` writes: their pickle, and the positions of their storages in the file."""

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mtv_jax.io.errors import UserError

MOST_PICKLE = 256 * 2**20
"""Maximum size in bytes of a torch file's pickle, which names the tensors: at most some kB each, unless it holds numpy
arrays."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a local file header (PKWARE APPNOTE 4.3.7): signature, and the lengths of the name and of the extra field, which
precede the data."""


@dataclass(frozen=True)
class TorchArchive:
    """A torch file.

    Attributes:
      path: the file.
      pickle: bytes of the pickle that describes its content.
      storages: key -> (offset in the file, size), in bytes.
      big_endian: byte order of the numbers in the storages.
    """

    path: Path
    pickle: bytes
    storages: Mapping[str, tuple[int, int]]
    big_endian: bool


def open_archive(path: Path) -> TorchArchive:
    """Reads the directory and the pickle of a torch file.

    Raises UserError for a file that is damaged, that is not torch's, or that `check_archive` refuses.
    """
    check_archive(path)
    if not zipfile.is_zipfile(path):
        raise not_mappable(path, "not a zip file, the format of torch since 1.6")
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            return _read(path, archive, file)
    except Exception as error:  # a damaged file can raise any error in the reader
        raise not_mappable(path, str(error)) from error


def not_mappable(path: Path, reason: str) -> UserError:
    """The error for a file that cannot be read as torch's."""
    line = (reason.splitlines() or ["empty"])[0][:120]
    return UserError(f"{path}: not a torch file that can be memory-mapped ({line})")


def _read(path: Path, archive: zipfile.ZipFile, file: BinaryIO) -> TorchArchive:
    entries = {entry.filename: entry for entry in archive.infolist()}
    root = next(iter(entries), "").partition("/")[0]
    if f"{root}/data.pkl" not in entries:
        raise ValueError(f"no {root[:80]}/data.pkl in it")
    folder = f"{root}/data/"
    storages = {
        name.removeprefix(folder): _position(entry, file)
        for name, entry in entries.items()
        if name.startswith(folder)
    }
    order = f"{root}/byteorder"
    big_endian = order in entries and archive.read(order) == b"big"
    return TorchArchive(path, archive.read(f"{root}/data.pkl"), storages, big_endian)


def _position(entry: zipfile.ZipInfo, file: BinaryIO) -> tuple[int, int]:
    """Offset and size of an uncompressed entry's data in the file."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise ValueError(f"{entry.filename[:80]} is compressed or encrypted")
    file.seek(entry.header_offset)
    signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    offset = entry.header_offset + _LOCAL_HEADER.size + name + extra
    if signature != b"PK\x03\x04" or offset + entry.file_size > file.seek(0, 2):
        raise ValueError(f"{entry.filename[:80]} is not where the file's directory says")
    return offset, entry.file_size


def check_archive(path: Path) -> None:
    """Raises UserError for a zip file whose entries unpack to more than the file, before reading any entry.

    Torch stores entries uncompressed, so that files can be mapped: a compressed entry is not torch's, and may exhaust
    the memory. The pickle, which describes the tensors, is read whole and has a separate limit.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path}: a damaged zip file ({error})") from error
    there, promised = path.stat().st_size, sum(entry.file_size for entry in entries)
    if promised > there:
        largest = max(entries, key=lambda entry: entry.file_size)
        raise UserError(
            f"{path}: refused: {there:,} bytes that unpack to {promised:,} ({largest.filename[:80]}: "
            f"{largest.file_size:,}); torch does not compress"
        )
    for entry in entries:
        if entry.filename.endswith(".pkl") and entry.file_size > MOST_PICKLE:
            raise UserError(
                f"{path}: refused: {entry.filename[:80]} has {entry.file_size:,} bytes; at most {MOST_PICKLE:,} "
                "are read"
            )
