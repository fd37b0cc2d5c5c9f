"""Serialisation of a clip: metadata, provenance and arrays (msgpack with a schema version).

Arrays, by name; a batch adds an axis in front:

    video                          UInt8[F H W 3], in shards of frames; the others are in shards of latents
    latents_mean, latents_logvar   Float[f h w c], of the autoencoder's posterior
    text                           Float[l d], stored without padding
    speech, effects, music, ...    Float[F L c], features of each track of sound

In shards of media: `mp4`, and `speech`, `effects`, `music`, UInt8[n], the bytes of an mp4 file and of FLAC files.
"""

import dataclasses
import hashlib
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any

import ml_dtypes  # noqa: F401  registers bfloat16 with NumPy
import msgpack
import numpy as np

from mtv_jax.io.errors import UserError

SCHEMA = 1
"""Increased when a reader of the previous version could misread a record."""


@dataclasses.dataclass(frozen=True)
class ClipSource:
    """Provenance of a clip. It covers the time stamps [start_pts, end_pts), in units of `time_base` seconds."""

    name: str
    sha256: str
    start_pts: int
    end_pts: int
    time_base: tuple[int, int]
    licence: str = "unknown"


@dataclasses.dataclass(frozen=True)
class ClipRecord:
    """A clip: `num_frames` frames of height x width pixels at `fps` (numerator, denominator), and arrays.

    `facts` are JSON values that curation found out about it.
    """

    id: str
    prompt: str
    fps: tuple[int, int]
    num_frames: int
    height: int
    width: int
    source: ClipSource
    arrays: dict[str, np.ndarray]
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def clip_id(source_sha256: str, start_pts: int, end_pts: int, time_base: tuple[int, int]) -> str:
    """Hexadecimal SHA-256 that identifies a cut of a file by the file's content, independent of its name."""
    base = Fraction(*time_base)
    text = f"{source_sha256}:{start_pts}:{end_pts}:{base.numerator}/{base.denominator}"
    return hashlib.sha256(text.encode()).hexdigest()


def encode_record(record: ClipRecord) -> bytes:
    """Serialises a record."""
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    fields["source"] = dataclasses.asdict(record.source)
    fields["arrays"] = pack_arrays(record.id, record.arrays)
    data = msgpack.packb({"schema": SCHEMA, **fields})
    assert data is not None  # the type stub allows None
    return data


def decode_record(data: bytes, keys: Collection[str] | None = None) -> ClipRecord:
    """Deserialises a record; `keys` names the arrays to keep (None: all). The arrays are read-only views.

    Raises:
      UserError: the bytes are damaged, have another schema version, or lack a key.
    """
    try:
        fields = msgpack.unpackb(data)
    except Exception as error:  # msgpack raises a dozen types for bytes that are not msgpack
        raise UserError(f"clip record of {len(data)} bytes: damaged (not msgpack: {error})") from error
    if not isinstance(fields, dict) or "schema" not in fields:
        raise UserError(f"clip record of {len(data)} bytes: damaged (no schema version in it)")
    if fields["schema"] != SCHEMA:
        raise UserError(
            f"clip record: schema version {fields['schema']}, this program reads {SCHEMA}; build it again"
        )
    name = str(fields.get("id", "without id"))[:16]
    try:
        arrays = fields["arrays"]
        missing = [key for key in keys or () if key not in arrays]
        if missing:
            raise UserError(f"clip {name}: holds no {', '.join(missing)}; it has {', '.join(sorted(arrays))}")
        return ClipRecord(
            id=fields["id"],
            prompt=fields["prompt"],
            fps=_pair(fields["fps"]),
            num_frames=fields["num_frames"],
            height=fields["height"],
            width=fields["width"],
            source=_unpack_source(fields["source"]),
            arrays={key: _unpack_array(arrays[key]) for key in (arrays if keys is None else keys)},
            facts=fields.get("facts", {}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"clip {name}: damaged record ({type(error).__name__}: {error})") from error


def pack_arrays(clip: str, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The arrays of a clip as msgpack keeps them."""
    return {key: _pack_array(clip, key, value) for key, value in arrays.items()}


def unpack_arrays(packed: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays that `pack_arrays` packed, as read-only views."""
    return {key: _unpack_array(value) for key, value in packed.items()}


def _pack_array(clip: str, key: str, array: np.ndarray) -> dict[str, Any]:
    array = np.ascontiguousarray(array)
    if array.dtype.kind in "OUSM":
        raise TypeError(f"clip {clip}: {key} is of dtype {array.dtype}; only numeric arrays can be stored")
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return {"shape": list(array.shape), "dtype": array.dtype.name, "data": array.tobytes()}


def _unpack_array(packed: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(packed["data"], np.dtype(packed["dtype"])).reshape(packed["shape"])


def _unpack_source(fields: dict[str, Any]) -> ClipSource:
    return ClipSource(**{**fields, "time_base": _pair(fields["time_base"])})


def _pair(values: list[int]) -> tuple[int, int]:
    first, second = values
    return first, second
