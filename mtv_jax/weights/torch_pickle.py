"""Unpickles the description of a torch file without torch, and without executing anything that the pickle names.

Every name in the pickle is looked up in a table of this module, so that a file can only make dicts, plain values,
tensors and numpy arrays. Tensors stay in the file until they are read.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from mtv_jax.weights.torch_archive import TorchArchive

_STORAGES: Mapping[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": bool,
}
_NUMPY_TYPES = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "b1")


class ClassName(str):
    """The name of a class that the pickle refers to, in place of the class: `package.module.Class`."""

    __slots__ = ()


class _Sealed:
    """Base of the objects that a pickle can refer to: an instruction that would change their attributes is refused."""

    def __setstate__(self, state: Any):
        raise pickle.UnpicklingError("new attributes of an object")


@dataclass(frozen=True)
class _Function(_Sealed):
    call: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)


@dataclass(frozen=True)
class _StorageType(_Sealed):
    dtype: np.dtype


@dataclass(frozen=True)
class _Storage(_Sealed):
    """Numbers in the file: `count` of `dtype` from the byte `offset` on."""

    path: Path
    offset: int
    count: int
    dtype: np.dtype
    big_endian: bool


@dataclass(frozen=True)
class StoredTensor(_Sealed):
    """A tensor in a storage. `first` and `strides` count numbers. It lies within its storage (`_rebuild_tensor`)."""

    storage: _Storage
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        """Its numpy type (bfloat16 by ml_dtypes)."""
        return self.storage.dtype

    def read(self) -> np.ndarray:
        """Its numbers: the mapped file where it is contiguous there, otherwise a copy.

        The file is mapped each time, which releases the pages of tensors read before.
        """
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype)
        size = self.dtype.itemsize
        raw = np.dtype(f"{'>' if self.storage.big_endian else '<'}u{size}")
        offset = self.storage.offset + self.first * size
        mapped = np.memmap(self.storage.path, raw, "r", offset, (1 + _last(self.shape, self.strides),))
        strides = tuple(stride * size for stride in self.strides)
        view = np.lib.stride_tricks.as_strided(np.asarray(mapped), self.shape, strides)
        return np.asarray(view, raw.newbyteorder("="), order="C").view(self.dtype)


def _last(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Position of the last number of a tensor relative to its first; shape without 0."""
    return sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


class _NumpyType:
    """A numpy dtype as its pickle makes it."""

    def __init__(self, name: str, align: bool, copy: bool):
        if name not in _NUMPY_TYPES:
            raise pickle.UnpicklingError(f"numpy arrays of type {str(name)[:20]!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]):
        self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray:
    """A numpy array whose numbers are in the pickle."""

    def __init__(self, kind: Any, shape: Any, code: Any):
        self._array = np.zeros(0, np.float32)

    def __setstate__(self, state: tuple[Any, ...]):
        _, shape, kind, fortran, data = state
        array = np.frombuffer(data, kind.dtype).reshape(shape, order="F" if fortran else "C")
        self._array = array.astype(kind.dtype.newbyteorder("="), order="C", copy=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        """Its numpy type."""
        return self._array.dtype

    def read(self) -> np.ndarray:
        """Its numbers."""
        return self._array


class _Dict(dict):
    """An ordered dict. The attributes that state dicts have (`_metadata`) are dropped."""

    def __setstate__(self, state: Any):
        pass


def _rebuild_tensor(
    storage: _Storage,
    first: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool,
    backward_hooks: Any,
    metadata: Any = None,
) -> StoredTensor:
    """Checks that a tensor lies within its storage, and that it is not larger, as an expanded one would be."""
    if not isinstance(storage, _Storage) or metadata:
        raise pickle.UnpicklingError("a tensor with metadata")
    if any(type(number) is not int or number < 0 for number in (first, *shape, *strides)):
        raise ValueError("sizes of a tensor that are not natural numbers")
    np.broadcast_to(np.empty((), storage.dtype), shape)  # raises ValueError for impossible shapes
    count = math.prod(shape)
    if count and (count > storage.count or first + _last(shape, strides) >= storage.count):
        raise ValueError("a tensor is larger than its storage")
    return StoredTensor(storage, first, tuple(shape), tuple(strides))


def _rebuild_parameter(data: StoredTensor, requires_grad: bool, backward_hooks: Any) -> StoredTensor:
    return data


def _scalar(kind: _NumpyType, data: bytes) -> Any:
    """A number of numpy's, as training programs store a loss."""
    return np.frombuffer(data, kind.dtype, count=1)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as pickles of protocol 2 hold them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text encoded as {str(encoding)[:20]}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _fraction(first: Any, *rest: Any) -> Fraction:
    """A fraction from its two numbers, or from its text, as Python before 3.12 writes it, without exponents."""
    numbers = (first, *rest) if rest else first.split("/")
    return Fraction(*map(int, numbers))


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict,
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): _Function(_rebuild_parameter),
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): PickledArray,
    ("numpy.core.multiarray", "scalar"): _Function(_scalar),
    ("numpy._core.multiarray", "scalar"): _Function(_scalar),
    ("numpy", "ndarray"): ClassName("numpy.ndarray"),
    ("numpy", "dtype"): _NumpyType,
    ("_codecs", "encode"): _Function(_encode),
    ("__builtin__", "bytes"): _Function(_no_bytes),
    ("fractions", "Fraction"): _Function(_fraction),
    **{("torch", name): _StorageType(np.dtype(kind)) for name, kind in _STORAGES.items()},
}
"""What the names in a pickle stand for: only functions and classes of this module."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, archive: TorchArchive, unknown: Callable[[str], Any]):
        super().__init__(io.BytesIO(archive.pickle))
        self._archive, self._unknown = archive, unknown

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What a name stands for."""
        if (module_name, global_name) in _ALLOWED:
            return _ALLOWED[module_name, global_name]
        return self._unknown(f"{module_name}.{global_name}"[:120])

    def persistent_load(self, pid: Any) -> _Storage:
        """A storage: `("storage", type, key, device, number of elements)`, before torch 1.6 with a view, or None."""
        kind, storage_type, key, _, count, *views = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or views not in ([], [None]):
            raise pickle.UnpicklingError(f"storage of type {str(storage_type)[:80]}")
        offset, size = self._archive.storages[key]
        if not 0 <= count * storage_type.dtype.itemsize <= size:
            raise ValueError(f"storage {key[:20]} is smaller than the pickle says")
        return _Storage(self._archive.path, offset, count, storage_type.dtype, self._archive.big_endian)


def unpickle(archive: TorchArchive, *, classes: bool = False) -> Any:
    """The content of a torch file: dicts, lists and plain values with tensors.

    With `classes`, classes that the pickle refers to become their `ClassName`, which cannot be called; otherwise they
    raise UnpicklingError, as does everything that is neither tensor nor plain. A damaged pickle may raise any error.
    """
    _check_memo(archive.pickle)
    return _Unpickler(archive, ClassName if classes else _refuse).load()


class _AnyStorage(dict):
    """Storages that are where they may be, and large enough."""

    def __missing__(self, key: str) -> tuple[int, int]:
        return 0, 2**62


class _Types(_Unpickler):
    """Notes the types of the storages."""

    def __init__(self, data: bytes):
        super().__init__(TorchArchive(Path(), data, _AnyStorage(), big_endian=False), ClassName)
        self.found: dict[str, np.dtype] = {}

    def persistent_load(self, pid: Any) -> _Storage:
        storage = super().persistent_load(pid)
        self.found[pid[2]] = storage.dtype
        return storage


def storage_types(data: bytes) -> dict[str, np.dtype]:
    """The types of the storages in a pickle of tensors, by their keys. A damaged pickle may raise any error."""
    _check_memo(data)
    types = _Types(data)
    types.load()
    return types.found


def unpickle_plain(data: bytes) -> Any:
    """The content of a pickle of plain values: the rest raises UnpicklingError, and a damaged pickle any error."""
    _check_memo(data)
    return _Unpickler(TorchArchive(Path(), data, {}, big_endian=False), _refuse).load()


def _refuse(name: str) -> Any:
    raise pickle.UnpicklingError(name)


def _check_memo(data: bytes) -> None:
    """Refuses a pickle that numbers its objects other than consecutively.

    The unpickler allocates a table up to the largest number, which one instruction may set to 2^32.
    """
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > number:
            raise ValueError("objects are not numbered consecutively")
