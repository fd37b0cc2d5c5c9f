"""Safetensors on disk: one file or shards with an index, read and written a tensor at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, existing_file, write_json
from mtv_jax.weights.finite import check_finite
from mtv_jax.weights.rules import listing
from mtv_jax.weights.variants import choose_weights, weight_map

SHARD_BYTES = 2 * 1024**3
"""Largest file written, unless one tensor is larger."""

_DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "BOOL": np.dtype(bool),
}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file; `numpy.asarray` reads it."""

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        # The file is mapped again each time, which releases the pages of tensors read before.
        with safe_open(self.file, framework="np") as file:
            array = file.get_tensor(self.key)
        check_finite(array, f"{self.file}: {self.key}")
        return array if dtype is None else array.astype(dtype)


def read_tensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file, or of those in a folder: one, or shards with or without an index.

    Of several sets that differ in diffusers' variant (`model.fp16.safetensors`) the one without a variant is used.
    Raises UserError if there is no file, a file is damaged or missing, or files and index disagree; and, when a
    tensor is read, if it is not finite.
    """
    if path.is_file():
        return _read_file(path)
    chosen = choose_weights(path, "safetensors")
    if not chosen:
        raise UserError(f"{path}: no .safetensors file in it")
    if chosen[0].suffix == ".json":
        return _read_shards(path, chosen[0])
    return _merge([_read_file(file) for file in chosen], path)


def _read_file(path: Path) -> dict[str, StoredTensor]:
    try:
        with safe_open(existing_file(path), framework="np") as file:
            return {key: _stored(path, key, file.get_slice(key)) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error


def _stored(path: Path, key: str, view: Any) -> StoredTensor:
    dtype = view.get_dtype()
    if dtype not in _DTYPES:
        known = ", ".join(_DTYPES)
        raise UserError(f"{path}: {key} is of type {dtype}, which is not supported (only {known})")
    return StoredTensor(path, key, tuple(view.get_shape()), _DTYPES[dtype])


def _read_shards(directory: Path, index: Path) -> dict[str, StoredTensor]:
    listed = weight_map(index)
    files = {name: _read_file(directory / name) for name in sorted(set(listed.values()))}
    lost = sorted(key for key, name in listed.items() if key not in files[name])
    if lost:
        raise UserError(f"{index}: tensors that are not in the file it names: {listing(lost)}")
    extra = sorted(key for name, tensors in files.items() for key in tensors if listed.get(key) != name)
    if extra:
        raise UserError(f"{index}: tensors in the files that it does not list: {listing(extra)}")
    return {key: files[name][key] for key, name in listed.items()}


def _merge(parts: list[dict[str, StoredTensor]], directory: Path) -> dict[str, StoredTensor]:
    merged: dict[str, StoredTensor] = {}
    for part in parts:
        twice = sorted(set(merged) & set(part))
        if twice:
            raise UserError(f"{directory}: tensors in more than one file: {listing(twice)}")
        merged |= part
    return merged


def write_tensors(
    directory: Path, stem: str, tensors: Mapping[str, Any], *, dtype: Any = None
) -> Iterator[str]:
    """Writes tensors to `<stem>.safetensors`, or to shards of `SHARD_BYTES` with an index as transformers names them.

    Tensors are arrays or array-likes for `numpy.asarray`; those of one file are in memory together. Floats are
    cast to `dtype` if one is given. Yields each key as it is read: exhaust the iterator. Raises UserError, before
    writing its file, for a tensor that is not finite or that overflows `dtype`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    dtypes = {key: _target(tensor.dtype, dtype) for key, tensor in tensors.items()}
    sizes = {key: int(np.prod(t.shape)) * dtypes[key].itemsize for key, t in tensors.items()}
    shards = _shards(sizes, SHARD_BYTES)
    names = [f"{stem}-{i:05d}-of-{len(shards):05d}.safetensors" for i in range(1, len(shards) + 1)]
    names = [f"{stem}.safetensors"] if len(shards) == 1 else names
    for name, keys in zip(names, shards, strict=True):
        arrays = {}
        for key in keys:
            arrays[key] = _cast(key, np.asarray(tensors[key]), dtypes[key])
            yield key
        with atomic_path(directory / name) as temporary:
            save_file(arrays, temporary, metadata={"format": "pt"})
    if len(shards) > 1:
        where = {key: name for name, keys in zip(names, shards, strict=True) for key in keys}
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": where}
        write_json(directory / f"{stem}.safetensors.index.json", index)


def _cast(key: str, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    check_finite(array, key)
    with np.errstate(over="ignore"):
        cast = np.asarray(array, dtype, order="C")
    if dtype != array.dtype:
        check_finite(cast, f"{key} as {dtype.name}")
    return cast


def _target(found: np.dtype, wanted: Any) -> np.dtype:
    floating = np.issubdtype(found, np.floating) or found == ml_dtypes.bfloat16
    return np.dtype(wanted) if wanted is not None and floating else np.dtype(found)


def _shards(sizes: Mapping[str, int], most: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    room = most
    for key, size in sizes.items():
        if size > room and shards[-1]:
            shards.append([])
            room = most
        shards[-1].append(key)
        room -= size
    return shards
