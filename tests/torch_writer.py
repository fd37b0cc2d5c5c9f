"""Writes files as `torch.save` does, and as nobody should, without torch."""

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Global:
    """A name in a pickle: `module.name`."""

    module: str
    name: str


@dataclass(frozen=True)
class Call:
    """A call of a name with arguments."""

    function: Any
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Build:
    """Sets the state of an object."""

    target: Any
    state: Any


@dataclass(frozen=True)
class Persistent:
    """What the file holds outside of the pickle: a storage."""

    pid: Any


REBUILD = Global("torch._utils", "_rebuild_tensor_v2")


def tensor(
    key: str, kind: str, count: int, shape: tuple, strides: tuple, first: Any = 0, metadata: tuple = ()
) -> Call:
    """A tensor in the storage `key` of `count` numbers, of a type such as `Float`."""
    storage = Persistent(("storage", Global("torch", f"{kind}Storage"), key, "cpu", count))
    return Call(REBUILD, (storage, first, shape, strides, False, {}, *metadata))


def dump(value: Any) -> bytes:
    """The instructions that make a value."""
    match value:
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, args):
            return dump(function) + dump(args) + b"R"
        case Build(target, state):
            return dump(target) + dump(state) + b"b"
        case Persistent(pid):
            return dump(pid) + b"Q"
        case tuple():
            return b"(" + b"".join(map(dump, value)) + b"t"
        case dict():
            return b"}" + b"".join(dump(key) + dump(item) + b"s" for key, item in value.items())
        case _:
            return pickle.dumps(value, 2)[2:-1]


def write_torch(
    path: Path, content: Any, storages: Mapping[str, bytes] = {}, *, order: str = "little", **zipped: Any
) -> Path:
    """Writes a torch file of `content` (or of a pickle's bytes); `zipped` are options of its entries."""
    data = content if isinstance(content, bytes) else b"\x80\x02" + dump(content) + b"."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", order)
        for key, numbers in storages.items():
            archive.writestr(f"archive/data/{key}", numbers, **zipped)
    return path


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], *, entry: str | None = None) -> Path:
    """Writes a torch file of float32 tensors by name, with `entry` as that of a training, beside its step."""
    storages = {key: (str(i), np.asarray(array, order="C")) for i, (key, array) in enumerate(tensors.items())}
    content = {
        key: tensor(name, "Float", array.size, array.shape, tuple(s // 4 for s in array.strides))
        for key, (name, array) in storages.items()
    }
    content = content if entry is None else {"global_step": 7, entry: content}
    return write_torch(path, content, {name: array.tobytes() for name, array in storages.values()})
