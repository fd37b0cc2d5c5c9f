"""Reads shards completely and checks them against their manifest, once each.

Verified shards are recorded in `verified.json` beside the manifest, with name, size, modification time and SHA-256 of
each file, and the ids and films of its records; a file for which any of the former differs is read again.
"""

import hashlib
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from array_record.python.array_record_module import ArrayRecordReader

from mtv_jax.data.manifests import ENCODERS, MANIFEST, check_record
from mtv_jax.data.records import decode_record
from mtv_jax.data.shards import VERIFIED, ShardSet, check_hash, open_shards
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, read_json, write_json
from mtv_jax.io.progress import progress

_IDS = 2**256
"""Sums of the hashes of ids are taken modulo this."""
_SHORT = 16
_SECONDS_BETWEEN_WRITES = 5.0
"""Interval of rewriting the list: with ten thousand shards, rewriting it after each would be wasteful."""


@dataclass(frozen=True)
class Verified:
    """A folder of shards that were read whole, now or before.

    Attributes:
      shards: open.
      read: how many of its shards were read now.
      clips: identifies the ids of all records, whatever shards they are in.
      films: the beginnings of the SHA-256 of all sources.
    """

    shards: ShardSet
    read: int
    clips: str
    films: frozenset[str]


def verify_shards(directory: str | os.PathLike, *, again: bool = False) -> Verified:
    """Reads every shard that is not verified yet and checks its SHA-256, its number of records, and each record.

    If it is interrupted, the next call resumes after the last verified shard. Progress is shown on stderr.

    Args:
      directory: folder of shards.
      again: whether to read verified shards again.

    Raises:
      UserError: like `open_shards`, or, naming the file, if a shard was changed or is damaged.
    """
    shards = open_shards(directory)
    memory = _Memory(shards.directory / VERIFIED, forget=again)
    _check_encoders(shards, memory)
    ids: dict[str, str] = {}
    unknown = [entry for entry in shards.manifest["shards"] if not memory.knows(shards.directory, entry)]
    try:
        for entry in progress(unknown, "verifying shards"):
            # Taken before the shard is read, so that a change in the meantime is noticed.
            state = _state(shards.directory, entry)
            memory.add(entry["name"], state, _check_shard(shards, entry, ids))
    finally:
        memory.write()
    found = [memory.records(entry["name"]) for entry in shards.manifest["shards"]]
    clips = sum(int(records["clips"], 16) for records in found) % _IDS
    films = frozenset(film for records in found for film in records["films"])
    return Verified(shards, len(unknown), f"{clips:064x}", films)


class _Memory:
    """The content of `verified.json`: name of a shard -> its state when it was verified."""

    def __init__(self, path: Path, *, forget: bool):
        self._path = path
        self._known: dict[str, Any] = {} if forget else _read(path)
        self._written = time.monotonic()
        self._changed = False

    def knows(self, directory: Path, entry: dict[str, Any]) -> bool:
        """Whether the shard of a manifest's entry was verified, and has not changed since."""
        known = self._known.get(entry["name"])
        return isinstance(known, dict) and known.get("state") == _state(directory, entry)

    def records(self, name: str) -> dict[str, Any]:
        """What `_check_shard` found in a verified shard."""
        return self._known[name]["records"]

    def add(self, name: str, state: dict[str, Any], records: Mapping[str, Any] | None = None) -> None:
        """Records a verified file and, of a shard, what `_check_shard` found."""
        self._known[name] = {"state": state, "records": records}
        self._changed = True
        if time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Writes the list if it changed; prints a warning if the folder is read-only."""
        if not self._changed:
            return
        try:
            write_json(self._path, self._known)
        except OSError as error:
            print(
                f"{self._path}: verification cannot be recorded ({error.strerror})",
                file=sys.stderr,
                flush=True,
            )
        self._written, self._changed = time.monotonic(), False


def _read(path: Path) -> dict[str, Any]:
    """Reads the list; empty if it is damaged, since that only costs time."""
    try:
        known = read_json(path)
    except UserError:
        return {}
    return known if isinstance(known, dict) else {}


def _state(directory: Path, entry: dict[str, Any]) -> dict[str, Any]:
    found = (directory / entry["name"]).stat()
    return {"bytes": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": entry["sha256"]}


def _check_shard(shards: ShardSet, entry: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """The `clips` and `films` (`Verified`) of a shard's records. `ids` are the clip ids read so far.

    Raises UserError for a shard that does not match the manifest.
    """
    clips, films = 0, set()
    path = shards.directory / entry["name"]
    check_hash(path, entry["sha256"])
    try:
        reader = ArrayRecordReader(str(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path}: not a file of records ({error}); build it again") from error
    try:
        found = reader.num_records()
        if found != entry["count"]:
            raise UserError(
                f"{path}: the manifest says {entry['count']} records, it has {found}; build it again"
            )
        for number in range(found):
            record = decode_record(reader.read([number])[0])
            check_record(record, shards.manifest, f"{path}: record {number}")
            if record.id in ids:
                raise UserError(f"{path}: clip {record.id[:16]} is also in {ids[record.id]}; build it again")
            ids[record.id] = path.name
            clips += int.from_bytes(hashlib.sha256(record.id.encode()).digest(), "big")
            films.add(record.source.sha256[:_SHORT])
    finally:
        reader.close()
    return {"clips": f"{clips % _IDS:064x}", "films": sorted(films)}


def _check_encoders(shards: ShardSet, memory: "_Memory") -> None:
    """Raises UserError if a file of `encoders/` cannot be opened or is not the one that encoded the shards.

    A folder without `encoders/` supports training, but not sampling.
    """
    encoders = shards.manifest["info"].get(ENCODERS)
    folder = shards.directory / ENCODERS
    if not folder.is_dir() or not isinstance(encoders, dict):
        return
    for part, files in encoders.items():
        for name, digest in files.items() if isinstance(files, dict) else ():
            path = folder / part / name
            if Path(name).name != name or Path(part).name != part:
                raise UserError(
                    f"{shards.directory / MANIFEST}: info: encoders: {part}/{name} is not a file name"
                )
            existing_file(path)
            entry = {"name": f"{ENCODERS}/{part}/{name}", "sha256": digest}
            if not memory.knows(shards.directory, entry):
                state = _state(shards.directory, entry)
                check_hash(path, digest)
                memory.add(entry["name"], state)
