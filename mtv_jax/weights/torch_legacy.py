"""The files that `torch.save` wrote before version 1.6: pickles one after the other, then the storages.

The pickles hold a magic number, the version of the format, sizes of the writer's numbers, the content, and the keys of
the storages in the order of the file; a storage is its number of elements (int64) and the elements.
"""

import pickle
import pickletools
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mtv_jax.weights.torch_archive import MOST_PICKLE, TorchArchive, not_mappable
from mtv_jax.weights.torch_pickle import storage_types, unpickle_plain

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The first pickle, of the number 0x1950a86a20f9469cfc6c."""
_VERSION = 1001
_COUNT = struct.Struct("<q")


def is_legacy(path: Path) -> bool:
    """Whether a file begins like these."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def open_legacy(path: Path) -> TorchArchive:
    """Reads the pickles of a file and finds its storages.

    Raises UserError for a damaged file, UnpicklingError for content that is refused.
    """
    try:
        with path.open("rb") as file:
            file.seek(len(MAGIC))
            version, about = unpickle_plain(_next_pickle(file)), unpickle_plain(_next_pickle(file))
            if version != _VERSION or not about["little_endian"]:
                raise ValueError(f"version {str(version)[:20]}, or the highest byte of a number first")
            content, keys = _next_pickle(file), unpickle_plain(_next_pickle(file))
            storages = _positions(file, keys, storage_types(content))
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged file can raise any error in the reader
        raise not_mappable(path, str(error)) from error
    return TorchArchive(path, content, storages, big_endian=False)


def _next_pickle(file: BinaryIO) -> bytes:
    """The pickle that begins here, up to its end."""
    start = file.tell()
    for _, _, position in pickletools.genops(file):
        if (position or 0) - start > MOST_PICKLE:
            raise ValueError(f"a pickle of more than {MOST_PICKLE:,} bytes")
    size = file.tell() - start
    file.seek(start)
    return file.read(size)


def _positions(file: BinaryIO, keys: list[str], types: Mapping[str, np.dtype]) -> dict[str, tuple[int, int]]:
    """Key -> offset and size in bytes of each storage; the first begins here."""
    found, offset = {}, file.tell()
    end = file.seek(0, 2)
    for key in keys:
        file.seek(offset)
        (count,) = _COUNT.unpack(file.read(_COUNT.size))
        offset += _COUNT.size
        size = count * types[key].itemsize
        if not 0 <= size <= end - offset:
            raise ValueError(f"storage {key[:20]} is not within the file")
        found[key] = offset, size
        offset += size
    return found
