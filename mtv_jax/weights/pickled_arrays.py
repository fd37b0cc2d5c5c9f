"""Pickles of nested dicts of numpy arrays, read without executing code in the pickle."""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file
from mtv_jax.weights.torch_archive import MOST_PICKLE
from mtv_jax.weights.torch_files import TorchTensor
from mtv_jax.weights.torch_pickle import PickledArray, unpickle_plain

_DEPTH = 8
"""Of the dicts, at most."""


def read_pickled_arrays(path: Path) -> dict[str, TorchTensor]:
    """The arrays of a file; names are the keys on the way to them, joined by dots.

    Raises UserError for a file that is damaged or of more than 256 MiB, and for a pickle of anything but dicts of
    arrays, since it could run code.
    """
    size = existing_file(path).stat().st_size
    if size > MOST_PICKLE:
        raise UserError(f"{path}: refused: {size:,} bytes; at most {MOST_PICKLE:,} of a pickle are read")
    try:
        content = unpickle_plain(path.read_bytes())
        return {name: TorchTensor(array, f"{path}: {name}") for name, array in _arrays(content)}
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: refused, it holds more than arrays ({_first_line(error)})") from error
    except Exception as error:  # a damaged pickle can raise any error in the reader
        raise UserError(f"{path}: not a pickle of arrays ({_first_line(error)})") from error


def _arrays(content: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, PickledArray]]:
    if not isinstance(content, Mapping) or depth > _DEPTH:
        raise pickle.UnpicklingError(f"{prefix or 'content'}: a {type(content).__name__}")
    for key, value in content.items():
        if isinstance(value, PickledArray):
            yield f"{prefix}{key}", value
        else:
            yield from _arrays(value, f"{prefix}{key}.", depth + 1)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
