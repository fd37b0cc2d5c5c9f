"""Torch files (`.pt`, `.bin`, `.ckpt`, `.th`), read without torch and without executing code in the pickle."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file
from mtv_jax.weights.finite import check_finite
from mtv_jax.weights.torch_archive import not_mappable, open_archive
from mtv_jax.weights.torch_legacy import is_legacy, open_legacy
from mtv_jax.weights.torch_pickle import ClassName, PickledArray, StoredTensor, unpickle
from mtv_jax.weights.variants import weight_map

_WRAPPERS = ("module", "state_dict")
"""Keys under which training programs store the weights, beside other entries such as counters."""
_PLAIN = (int, float, bool, str, type(None))
_DEPTH = 8
"""Maximum depth of lists and dicts in the arguments of a package."""


@dataclass(frozen=True)
class TorchTensor:
    """A tensor of a mapped file; `numpy.asarray` reads it. `name` is its file and key."""

    tensor: StoredTensor | PickledArray
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.tensor.shape

    @property
    def dtype(self) -> np.dtype:
        """Its numpy type (bfloat16 by ml_dtypes)."""
        return self.tensor.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.tensor.read()
        check_finite(array, self.name)
        return array if dtype is None else array.astype(dtype)


class Package(NamedTuple):
    """A network with its arguments, as Demucs stores it: the class is only named."""

    class_name: str
    kwargs: dict[str, Any]
    state: dict[str, TorchTensor]


def read_torch(paths: Sequence[Path], *, entry: str | None = None) -> dict[str, TorchTensor]:
    """The tensors of torch files, or of the shards that a `.bin.index.json` names; files are memory-mapped.

    With `entry`, those of the dict under this key of a file, whatever else is in it (the optimizer's).

    Raises UserError for a pickle that holds anything but tensors and numpy arrays, since it could run code (beside a
    wrapper `module` or `state_dict` plain numbers and strings are allowed), for tensors that are not within their
    storage, and for a zip file that unpacks to more than its size.
    """
    merged: dict[str, TorchTensor] = {}
    for path in paths:
        if path.suffix == ".json":
            names = sorted(set(weight_map(path).values()))
            merged |= read_torch([path.parent / name for name in names], entry=entry)
        else:
            merged |= _read_file(existing_file(path), entry)
    return merged


def read_package(path: Path) -> Package:
    """A file of Demucs' form, `{"klass": class, "args": (), "kwargs": {...}, "state": {...}}`; others are ignored.

    The class is not imported: its name is returned, `package.module.Class`. Raises UserError as `read_torch` does, and
    for a file of another form, or arguments that are not plain values (numbers, fractions, strings, lists, dicts).
    """
    content = _load(existing_file(path), classes=True)
    if not isinstance(content, Mapping) or not {"klass", "kwargs", "state"} <= set(content):
        raise UserError(f"{path}: no package: it needs klass, kwargs and state")
    name, kwargs = content["klass"], content["kwargs"]
    if not isinstance(name, ClassName) or content.get("args") or not isinstance(kwargs, Mapping):
        raise UserError(f"{path}: no package: klass must be a class, args empty and kwargs a dict")
    return Package(str(name), _plain(kwargs, path), _tensors(content["state"], path))


def _plain(value: Any, path: Path, depth: int = 0) -> Any:
    """A copy of a plain value. Raises UserError for anything else."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Fraction):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, (list, tuple)) and depth < _DEPTH:
        return type(value)(_plain(item, path, depth + 1) for item in value)
    if isinstance(value, Mapping) and depth < _DEPTH:
        return {_plain(key, path, _DEPTH): _plain(item, path, depth + 1) for key, item in value.items()}
    raise UserError(f"{path}: refused, an argument holds a {type(value).__name__}")


def _read_file(path: Path, entry: str | None) -> dict[str, TorchTensor]:
    content = _load(path)
    if entry is not None:
        if not isinstance(content, Mapping) or entry not in content:
            raise UserError(f"{path}: no {entry!r} in it")
        return _tensors(content[entry], path)
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            _check_plain(content, wrapper, path)
            content = content[wrapper]
    return _tensors(content, path)


def _load(path: Path, *, classes: bool = False) -> Any:
    try:
        archive = open_legacy(path) if is_legacy(path) else open_archive(path)
        return unpickle(archive, classes=classes)
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: refused, it holds more than tensors ({_first_line(error)})") from error
    except Exception as error:  # a damaged pickle can raise any error in the reader
        raise not_mappable(path, _first_line(error)) from error


def _check_plain(content: Mapping[str, Any], wrapper: str, path: Path) -> None:
    for key, value in content.items():
        if key != wrapper and not isinstance(value, _PLAIN):
            raise UserError(f"{path}: refused, beside {wrapper!r} it holds {key!r}, a {type(value).__name__}")


def _tensors(content: Any, path: Path) -> dict[str, TorchTensor]:
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: refused, it holds a {type(content).__name__}, not a dict of tensors")
    others = [
        str(key) for key, value in content.items() if not isinstance(value, (StoredTensor, PickledArray))
    ]
    if others:
        raise UserError(f"{path}: refused, not tensors: {', '.join(others[:20])}")
    return {str(key): TorchTensor(value, f"{path}: {key}") for key, value in content.items()}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
