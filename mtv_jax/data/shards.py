"""Folders of clips: ArrayRecord shards and a manifest with counts and hashes.

A folder holds `clips-00000-of-00003.array_record` ..., `subset-<name>.npy` (record numbers) and, written
last, `manifest.json`. A folder without a manifest is incomplete and cannot be opened. The content of the shards is
checked by `mtv_jax.data.verify`.
"""

import dataclasses
import functools
import os
from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import grain
import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from mtv_jax.data.manifests import KINDS, MANIFEST, SHARD_SUFFIX, check_record, read_manifest, read_subset
from mtv_jax.data.records import SCHEMA, ClipRecord, decode_record, encode_record
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, existing_directory, existing_file, sha256, write_json

VERIFIED = "verified.json"
SHARD_BYTES = 256 * 2**20
"""Size of the records of a shard, uncompressed, after which the next one begins."""
# One record per group: a random read decompresses that record only (4.5 MB: 17 ms, in groups of 16: 158 ms).
_WRITER_OPTIONS = "group_size:1,zstd:1"
_COMMON = ("num_frames", "height", "width")


def write_shards(
    directory: str | os.PathLike,
    records: Iterable[ClipRecord],
    *,
    kind: str,
    info: Mapping[str, Any] | None = None,
    subsets: Mapping[str, Collection[str]] | None = None,
    records_per_shard: int | None = None,
) -> dict[str, Any]:
    """Writes records, in order, as shards; existing shards in the folder are replaced.

    The output is deterministic. A run that dies leaves no manifest.

    Args:
      directory: created if needed.
      records: consumed one at a time; all must have the same length, size and arrays (with equal dtypes). Their frame
        rates may differ: the manifest's `fps` is then null.
      kind: "latents", "frames" or "media".
      info: metadata for readers, such as the identities of the encoders. JSON.
      subsets: name -> clip ids; one index file each.
      records_per_shard: maximum number of records per shard; a shard is also closed once it has `SHARD_BYTES`.

    Returns:
      The manifest.

    Raises:
      UserError: there are no records, a clip is given twice, clips differ in shape, or a subset is empty or names
        clips that do not exist.
    """
    if kind not in KINDS:
        raise UserError(f"kind {kind!r}: shards hold {' or '.join(KINDS)}")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _remove(directory, ".clips-*.tmp")
    writer = _ShardWriter(directory, records_per_shard)
    summary = _Summary()
    try:
        for record in records:
            summary.add(record)
            writer.write(encode_record(record))
        if not summary.ids:
            raise UserError(f"{directory}: there are no clips to write")
        members = _subset_members(directory, subsets or {}, summary.ids)
        manifest = (
            summary.to_json(kind) | {"info": dict(info or {})} | _publish_all(directory, writer, members)
        )
    finally:
        try:
            writer.close()
        finally:
            _remove(directory, ".clips-*.tmp")
    write_json(directory / MANIFEST, manifest)
    return manifest


def _publish_all(
    directory: Path, writer: "_ShardWriter", members: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Renames finished shards, writes the subset files, and returns the manifest's entries for both.

    The previous manifest is removed first, so that a manifest never describes other shards than its own.
    """
    counts = writer.close()
    _remove(directory, MANIFEST, VERIFIED, "clips-*.array_record", "subset-*.npy")
    return {
        "subsets": [_write_subset(directory, name, rows) for name, rows in sorted(members.items())],
        "shards": [_publish(temporary, i, counts) for i, temporary in enumerate(writer.paths)],
    }


def open_shards(directory: str | os.PathLike) -> "ShardSet":
    """Opens a folder of shards after checking names and sizes against its manifest, and the subsets' hashes.

    The shards themselves are not read: every process of a training opens them at each start, and they may be terabytes.

    Raises:
      UserError: there is no folder or manifest, the schema version differs, a file is missing or has another size, or
        a subset was changed.
    """
    directory = existing_directory(directory)
    if not (directory / MANIFEST).exists():
        raise UserError(
            f"{directory}: no {MANIFEST} in it: not a folder of shards, or its build did not finish"
        )
    manifest = read_manifest(directory / MANIFEST)
    for entry in manifest["shards"]:
        check_size(directory / entry["name"], entry["bytes"])
    for entry in manifest["subsets"]:
        path = directory / entry["name"]
        check_size(path, entry["bytes"])
        check_hash(path, entry["sha256"])
        read_subset(path, entry["count"], manifest["num_records"])
    return ShardSet(directory, manifest)


@dataclasses.dataclass(frozen=True)
class ShardSet:
    """An open folder of shards. Records are numbered across all shards, in the order they were written."""

    directory: Path
    manifest: dict[str, Any]

    def __len__(self) -> int:
        return self.manifest["num_records"]

    @functools.cached_property
    def source(self) -> grain.sources.ArrayRecordDataSource:
        """Random access to the bytes of the records."""
        source = grain.sources.ArrayRecordDataSource(
            [str(self.directory / shard["name"]) for shard in self.manifest["shards"]]
        )
        found = len(source)  # pyright: ignore[reportArgumentType] - its base class has the method
        if found != len(self):
            raise UserError(
                f"{self.directory}: its shards hold {found} records, {MANIFEST} says {len(self)}; build them again"
            )
        return source

    @property
    def shapes(self) -> dict[str, tuple[Any, ...]]:
        """Of the arrays of a record; an axis whose length differs from clip to clip is None."""
        return {key: tuple(array["shape"]) for key, array in self.manifest["arrays"].items()}

    @property
    def clip_size(self) -> ClipSize:
        """Of its clips. If their rates differ, `fps` is that of MTV's inference."""
        size, rate = ClipSize(**{name: self.manifest[name] for name in _COMMON}), self.manifest["fps"]
        if rate is None:
            return dataclasses.replace(size, native_rate=True)
        return dataclasses.replace(size, fps=Fraction(*rate))

    def read(self, number: int) -> ClipRecord:
        """Reads record `number`. Raises UserError if it is damaged, or does not match the manifest."""
        record = decode_record(self.source[number])
        check_record(record, self.manifest, f"{self.directory}: record {number}")
        return record

    @property
    def subset_names(self) -> tuple[str, ...]:
        """Names of the subsets."""
        return tuple(entry["subset"] for entry in self.manifest["subsets"])

    def subset(self, name: str) -> np.ndarray:
        """Record numbers of a subset, rising, int64, mapped into memory.

        Raises UserError if there is no such subset or it is empty.
        """
        for entry in self.manifest["subsets"]:
            if entry["subset"] == name:
                return read_subset(self.directory / entry["name"], entry["count"], len(self))
        known = ", ".join(self.subset_names) or "none"
        raise UserError(f"subset {name!r}: not in {self.directory}; its subsets: {known}")


class _ShardWriter:
    """Writes to hidden temporary files, since the final names contain the number of shards."""

    def __init__(self, directory: Path, records_per_shard: int | None):
        self.paths: list[Path] = []
        self._directory = directory
        self._limits = (records_per_shard or 2**62, SHARD_BYTES)
        self._writer: ArrayRecordWriter | None = None
        self._counts: list[int] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Appends a record, to a new shard if the last one is full."""
        if self._writer and (self._counts[-1] >= self._limits[0] or self._bytes >= self._limits[1]):
            self.close()
        writer = self._writer or self._open()
        writer.write(data)
        self._counts[-1] += 1
        self._bytes += len(data)

    def close(self) -> list[int]:
        """Closes the last shard and returns the number of records in each."""
        if self._writer is not None:
            # Once only, even if it fails.
            writer, self._writer = self._writer, None
            writer.close()
            with open(self.paths[-1], "rb") as file:
                os.fsync(file.fileno())
        return self._counts

    def _open(self) -> ArrayRecordWriter:
        self.paths.append(self._directory / f".clips-{len(self.paths):05d}.tmp")
        self._writer = ArrayRecordWriter(str(self.paths[-1]), _WRITER_OPTIONS)
        self._counts.append(0)
        self._bytes = 0
        return self._writer


class _Summary:
    """The common properties of all records, checked for each one."""

    def __init__(self):
        self.ids: dict[str, int] = {}
        self.rates: set[tuple[int, int]] = set()
        self.common: dict[str, Any] = {}
        self.arrays: dict[str, dict[str, Any]] = {}

    @property
    def fps(self) -> list[int] | None:
        """The frame rate of all records; None if they differ."""
        return [n for rate in self.rates for n in rate] if len(self.rates) == 1 else None

    def to_json(self, kind: str) -> dict[str, Any]:
        """The manifest's fields for these properties."""
        same = {"schema": SCHEMA, "kind": kind, "num_records": len(self.ids), "fps": self.fps}
        return same | self.common | {"arrays": self.arrays}

    def add(self, record: ClipRecord) -> None:
        if record.id in self.ids:
            raise UserError(f"clip {record.id}: given twice")
        self.ids[record.id] = len(self.ids)
        self.rates.add(record.fps)
        common = {name: getattr(record, name) for name in _COMMON}
        arrays = {key: (list(array.shape), array.dtype.name) for key, array in record.arrays.items()}
        if not self.common:
            self.common = common
            self.arrays = {
                key: {"shape": shape, "dtype": dtype} for key, (shape, dtype) in sorted(arrays.items())
            }
        self._same(record.id, common, self.common)
        dtypes = {key: dtype for key, (_, dtype) in arrays.items()}
        self._same(record.id, dtypes, {key: known["dtype"] for key, known in self.arrays.items()})
        for key, (shape, _) in arrays.items():
            known = self.arrays[key]["shape"]
            if len(shape) != len(known):
                raise UserError(f"clip {record.id}: {key} has the shape {shape}, the clips before it {known}")
            self.arrays[key]["shape"] = [a if a == b else None for a, b in zip(shape, known, strict=True)]

    @staticmethod
    def _same(clip: str, given: dict, expected: dict) -> None:
        for name in sorted({*given, *expected}):
            if given.get(name) != expected.get(name):
                raise UserError(
                    f"clip {clip}: {name} is {given.get(name)}, but {expected.get(name)} in the clips "
                    "before it; clips of one folder must agree"
                )


def _publish(temporary: Path, index: int, counts: list[int]) -> dict[str, Any]:
    final = temporary.with_name(f"clips-{index:05d}-of-{len(counts):05d}{SHARD_SUFFIX}")
    os.replace(temporary, final)
    return {
        "name": final.name,
        "count": counts[index],
        "bytes": final.stat().st_size,
        "sha256": sha256(final),
    }


def _subset_members(
    directory: Path, subsets: Mapping[str, Collection[str]], ids: Mapping[str, int]
) -> dict[str, list[int]]:
    members = {}
    for name, clips in subsets.items():
        unknown = [clip for clip in clips if clip not in ids]
        if unknown or not clips:
            reason = f"names clips that were not written, {unknown[0]} first" if unknown else "is empty"
            raise UserError(f"{directory}: subset {name!r} {reason}")
        if not name or not set(name) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
        ):
            raise UserError(f"subset {name!r}: a name is letters, digits, - and _")
        members[name] = sorted({ids[clip] for clip in clips})
    return members


def _write_subset(directory: Path, name: str, numbers: list[int]) -> dict[str, Any]:
    path = directory / f"subset-{name}.npy"
    with atomic_path(path) as temporary:
        np.save(temporary, np.array(numbers, np.int64))
    size = path.stat().st_size
    return {"subset": name, "name": path.name, "count": len(numbers), "bytes": size, "sha256": sha256(path)}


def check_size(path: Path, size: int) -> None:
    """Raises UserError unless a file exists and has the size in its manifest."""
    existing_file(path)
    found = path.stat().st_size
    if found < size:
        raise UserError(f"{path}: truncated: the manifest says {size} bytes, it has {found}; build it again")
    if found > size:
        raise UserError(f"{path}: altered: the manifest says {size} bytes, it has {found}; build it again")


def check_hash(path: Path, digest: str) -> None:
    """Raises UserError unless a file, which is read whole, has the SHA-256 in its manifest."""
    if sha256(path) != digest:
        raise UserError(f"{path}: altered or damaged: its SHA-256 differs from the manifest; build it again")


def _remove(directory: Path, *patterns: str) -> None:
    for pattern in patterns:
        for path in directory.glob(pattern):
            path.unlink()
