"""Torch files (`.pt`, `.bin`), read without executing code in the pickle. Needs the extra `convert`."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file
from mtv_jax.weights.finite import check_finite
from mtv_jax.weights.variants import weight_map

_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")

MOST_PICKLE = 256 * 2**20
"""Maximum size in bytes of a torch file's pickle, which names the tensors: at most some kB each."""

_WRAPPERS = ("module", "state_dict")
"""Keys under which training programs store the weights, beside other entries such as counters."""


@dataclass(frozen=True)
class TorchTensor:
    """A tensor of a mapped file; `numpy.asarray` reads it. `name` is its file and key."""

    tensor: Any
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> np.dtype:
        """Its numpy type (bfloat16 by ml_dtypes)."""
        name = str(self.tensor.dtype).removeprefix("torch.")
        return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        import torch  # pyright: ignore[reportMissingImports]

        tensor = self.tensor.detach().contiguous()
        if tensor.dtype == torch.bfloat16:
            array = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        else:
            array = tensor.numpy()
        check_finite(array, self.name)
        return array if dtype is None else array.astype(dtype)


def read_torch(paths: Sequence[Path]) -> dict[str, TorchTensor]:
    """The tensors of torch files, or of the shards that a `.bin.index.json` names; files are memory-mapped.

    Raises UserError if torch is not installed, for a pickle that holds anything but tensors, since it could run code
    (beside a wrapper `module` or `state_dict` plain numbers and strings are allowed), and for a zip file that unpacks
    to more than its size.
    """
    merged: dict[str, TorchTensor] = {}
    for path in paths:
        if path.suffix == ".json":
            names = sorted(set(weight_map(path).values()))
            merged |= read_torch([path.parent / name for name in names])
        else:
            merged |= _read_file(existing_file(path))
    return merged


def _read_file(path: Path) -> dict[str, TorchTensor]:
    check_archive(path)
    content = _load(path)
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            _check_plain(content, wrapper, path)
            content = content[wrapper]
    return _tensors(content, path)


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


def _load(path: Path) -> Any:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(f"{path}: needs torch to be read: pip install 'mtv_jax[convert]'") from error
    from pickle import UnpicklingError

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        raise UserError(f"{path}: refused, it holds more than tensors ({_first_line(error)})") from error
    except Exception as error:  # a damaged pickle can raise any error in the reader
        raise UserError(
            f"{path}: not a torch file that can be memory-mapped ({_first_line(error)})"
        ) from error


def _check_plain(content: Mapping[str, Any], wrapper: str, path: Path) -> None:
    plain = (int, float, bool, str, type(None))
    for key, value in content.items():
        if key != wrapper and not isinstance(value, plain):
            raise UserError(f"{path}: refused, beside {wrapper!r} it holds {key!r}, a {type(value).__name__}")


def _tensors(content: Any, path: Path) -> dict[str, TorchTensor]:
    import torch  # pyright: ignore[reportMissingImports]

    if not isinstance(content, Mapping):
        raise UserError(f"{path}: refused, it holds a {type(content).__name__}, not a dict of tensors")
    others = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise UserError(f"{path}: refused, not tensors: {', '.join(others[:20])}")
    for key, value in content.items():
        kind = str(value.dtype).removeprefix("torch.")
        if kind not in _DTYPES or value.layout != torch.strided or value.device.type != "cpu":
            raise UserError(f"{path}: {key} is of type {kind} ({value.layout}), which is not supported")
    return {str(key): TorchTensor(value, f"{path}: {key}") for key, value in content.items()}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
