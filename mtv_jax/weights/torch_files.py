"""Torch's own files (`.pt`, `.bin`), read without running what a pickle could hold. Extra `convert`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, read_json

_WRAPPERS = ("module", "state_dict")
"""Keys under which training programs keep the weights, beside counters of theirs."""


@dataclass(frozen=True)
class TorchTensor:
    """A tensor of a mapped file; `numpy.asarray` reads it."""

    tensor: Any

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
        return array if dtype is None else array.astype(dtype)


def read_torch(path: Path) -> dict[str, TorchTensor]:
    """The tensors of a torch file, or of the shards that a `.bin.index.json` names; files are memory-mapped.

    Raises UserError without torch, and for a pickle that holds anything but tensors (beside a wrapper `module` or
    `state_dict` plain numbers and strings may stand): it could run code.
    """
    if path.name.endswith(".index.json"):
        names = sorted(set(read_json(path).get("weight_map", {}).values()))
        merged: dict[str, TorchTensor] = {}
        for name in names:
            merged |= read_torch(path.parent / name)
        return merged
    content = _load(existing_file(path))
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            _check_plain(content, wrapper, path)
            content = content[wrapper]
    return _tensors(content, path)


def _load(path: Path) -> Any:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(f"{path}: needs torch to be read: pip install 'mtv_jax[convert]'") from error
    from pickle import UnpicklingError

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        raise UserError(
            f"{path}: refused, it holds more than tensors ({str(error).splitlines()[0][:120]})"
        ) from error
    except RuntimeError as error:
        raise UserError(f"{path}: not a file of torch's that can be mapped ({_first_line(error)})") from error


def _check_plain(content: Mapping[str, Any], wrapper: str, path: Path) -> None:
    plain = (int, float, bool, str, type(None))
    for key, value in content.items():
        if key != wrapper and not isinstance(value, plain):
            raise UserError(f"{path}: refused, beside {wrapper!r} it holds {key!r}, a {type(value).__name__}")


def _tensors(content: Any, path: Path) -> dict[str, TorchTensor]:
    import torch  # pyright: ignore[reportMissingImports]

    if not isinstance(content, Mapping):
        raise UserError(f"{path}: refused, it holds a {type(content).__name__}, no dict of tensors")
    others = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise UserError(f"{path}: refused, not tensors: {', '.join(others[:20])}")
    return {str(key): TorchTensor(value) for key, value in content.items()}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
