"""Validation of a shard folder's manifest, before any file that it names is opened."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  registers bfloat16 with NumPy
import numpy as np

from mtv_jax.data.records import SCHEMA, ClipRecord
from mtv_jax.io.checks import check_whole
from mtv_jax.io.clip_size import rate_of
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, read_json_object
from mtv_jax.io.json_text import kind_of

MANIFEST = "manifest.json"
ENCODERS = "encoders"
"""Beside the shards, the folder of what made them; in the manifest's `info`, their hashes."""
MEDIA, TEST = "media", "test"
"""Folders of a data set: the media of its clips, and those that are held out, which have media too."""
MP4 = "mp4"
"""In media, the array of the bytes of a clip's mp4 file; those of its tracks have their names."""

_ARRAYS = {"latents": "latents_mean", "frames": "video", "media": MP4}
"""The arrays of each kind of record."""
KINDS = tuple(_ARRAYS)
SHARD_SUFFIX = ".array_record"
_MOST_FRAMES = 2**20
_MOST = 2**62
_MOST_AXES = 8


def read_manifest(path: Path) -> dict[str, Any]:
    """Reads and validates a manifest. Raises UserError, naming file and field, if it is invalid."""
    manifest = read_json_object(path)
    schema = manifest.get("schema")
    if schema != SCHEMA or isinstance(schema, bool):
        raise UserError(f"{path}: schema version {schema!r}, this program reads {SCHEMA}; build it again")
    try:
        _check(manifest)
    except KeyError as error:
        raise UserError(f"{path}: damaged manifest (no {error} in it); build the shards again") from error
    except UserError as error:
        raise UserError(f"{path}: {error}; build the shards again") from error
    return manifest


def read_subset(path: Path, count: int, total: int) -> np.ndarray:
    """Opens the index of a subset: `count` record numbers below `total`, rising, int64, mapped into memory.

    Raises UserError, naming the file, if it is invalid.
    """
    try:
        numbers = np.load(existing_file(path), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path}: not an index of a subset ({error})") from error
    if not isinstance(numbers, np.ndarray) or numbers.dtype != np.int64 or numbers.ndim != 1:
        raise UserError(f"{path}: must be an array of record numbers, int64")
    if len(numbers) != count:
        raise UserError(f"{path}: {len(numbers)} records, the manifest says {count}")
    if not len(numbers) or numbers[0] < 0 or numbers[-1] >= total:
        raise UserError(f"{path}: empty, or names records that do not exist")
    if (np.diff(numbers) <= 0).any():
        raise UserError(f"{path}: its record numbers must rise, none twice")
    return numbers


def check_record(record: ClipRecord, manifest: dict[str, Any], origin: str) -> None:
    """Raises UserError, naming the field, for a record that does not match the manifest."""
    for name in ("num_frames", "height", "width"):
        if getattr(record, name) != manifest[name]:
            raise UserError(f"{origin}: {name} {getattr(record, name)}, the manifest says {manifest[name]}")
    if manifest["fps"] is not None and list(record.fps) != manifest["fps"]:
        raise UserError(f"{origin}: fps {list(record.fps)}, the manifest says {manifest['fps']}")
    expected = manifest["arrays"]
    if set(record.arrays) != set(expected):
        raise UserError(f"{origin}: arrays {sorted(record.arrays)}, the manifest says {sorted(expected)}")
    for key, array in record.arrays.items():
        shape, dtype = expected[key]["shape"], expected[key]["dtype"]
        fits = len(shape) == array.ndim and all(
            n in (None, m) for n, m in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype.name != dtype:
            raise UserError(
                f"{origin}: {key} is {array.dtype.name} {list(array.shape)}, the manifest says {dtype} {shape}"
            )


def _check(manifest: dict[str, Any]) -> None:
    if manifest["kind"] not in KINDS:
        raise UserError(f"kind {manifest['kind']!r}: must be {' or '.join(KINDS)}")
    for name in ("num_records", "num_frames", "height", "width"):
        check_whole(name, manifest[name], most=_MOST if name == "num_records" else _MOST_FRAMES)
    if manifest["fps"] is not None:
        rate_of(manifest["fps"], "fps")
    if not isinstance(manifest["info"], dict):
        raise UserError(f"info: {kind_of(manifest['info'])}; must be an object")
    _check_arrays(manifest["arrays"])
    if manifest["arrays"] and _ARRAYS[manifest["kind"]] not in manifest["arrays"]:
        raise UserError(f"kind {manifest['kind']!r}: but there is no {_ARRAYS[manifest['kind']]} in arrays")
    _check_files(manifest, "shards", lambda entry: rf"[A-Za-z0-9_-]+\{SHARD_SUFFIX}")
    _check_files(manifest, "subsets", lambda entry: rf"subset-{re.escape(str(entry['subset']))}\.npy")
    total, found = manifest["num_records"], sum(entry["count"] for entry in manifest["shards"])
    if total != found:
        raise UserError(f"says {total} records, its shards have {found} (num_records)")
    for entry in manifest["subsets"]:
        if entry["count"] > total:
            raise UserError(f"subsets: {entry['name']} has {entry['count']} of {total} records")


def _check_arrays(arrays: Any) -> None:
    if not isinstance(arrays, dict):
        raise UserError(f"arrays: {kind_of(arrays)}; must be an object")
    for key, entry in arrays.items():
        if not isinstance(entry, dict):
            raise UserError(f"arrays: {key}: {kind_of(entry)}; must be an object")
        shape, dtype = entry["shape"], entry["dtype"]
        if not isinstance(shape, list) or len(shape) > _MOST_AXES:
            raise UserError(f"arrays: shape of {key}: must be a list of lengths")
        for length in shape:
            if length is not None:
                check_whole(f"arrays: shape of {key}: length", length, least=0, most=_MOST)
        try:
            known = isinstance(dtype, str) and np.dtype(dtype).hasobject is False
        except TypeError:
            known = False
        if not known:
            raise UserError(f"arrays: dtype of {key}: {dtype!r} is not a numeric dtype")


def _check_files(manifest: dict[str, Any], field: str, form: Callable[[dict[str, Any]], str]) -> None:
    """Raises UserError unless each entry of `field` has the name of a distinct file in the folder, counts and hash."""
    entries = manifest[field]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{field}: must be a list of objects")
    if field == "shards" and not entries:
        raise UserError(f"{field}: there are none")
    names = set()
    for entry in entries:
        name = entry["name"]
        if not _is_file_name(name) or not re.fullmatch(form(entry), name):
            raise UserError(
                f"{field}: name {name!r}: must be the name of a file beside it, of the form {form(entry)}"
            )
        if name in names:
            raise UserError(f"{field}: {name} is there twice")
        names.add(name)
        check_whole(f"{field}: count of {name}:", entry["count"], most=_MOST)
        check_whole(f"{field}: bytes of {name}:", entry["bytes"], most=_MOST)
        if not isinstance(entry["sha256"], str) or not re.fullmatch("[0-9a-f]{64}", entry["sha256"]):
            raise UserError(f"{field}: sha256 of {name}: must be 64 hexadecimal digits")


def _is_file_name(name: Any) -> bool:
    """Whether a name stays within the folder, on any system, and is not that of a hidden file."""
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", name) is not None
