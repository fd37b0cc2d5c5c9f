"""Strict reading of text and JSON files, with one-line errors that name the position.

Besides invalid syntax this rejects what would otherwise fail later and far from the file: duplicate keys, NaN and
infinity, numbers of hundreds of digits, nesting by the thousand, text that cannot be encoded.
"""

import codecs
import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from mtv_jax.io.errors import UserError

MOST_BYTES = 256 * 2**20
"""Maximum size of a JSON file. The largest one written here lists ten million clips in 90 MB."""

_MOST_DIGITS = 100
"""Maximum digits of an integer: transformers writes 10**30 for "no limit"."""
_MOST_DEPTH = 64

_OTHER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose byte order mark is a prefix of it
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def decode_text(data: bytes, origin: object) -> str:
    """Decodes UTF-8, with or without a byte order mark. Raises UserError, naming `origin`, for anything else."""
    for mark, name in _OTHER_MARKS.items():
        if data.startswith(mark):
            raise UserError(f"{origin}: its text is {name}; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{origin}: its text is not UTF-8 (byte {data[error.start]:#04x} at {error.start}); save it as UTF-8"
        ) from error


def parse_json(data: bytes, origin: object) -> Any:
    """Parses a JSON text. Raises UserError, naming `origin`, if it is not valid."""
    text = decode_text(data, origin)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_number,
            parse_constant=_constant,
        )
        _check_depth(value)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{origin}: not valid JSON (half of a surrogate pair, which is not a character)"
        ) from error
    except RecursionError as error:
        raise UserError(f"{origin}: not valid JSON ({_TOO_DEEP})") from error
    except ValueError as error:
        raise UserError(f"{origin}: not valid JSON ({error})") from error
    return value


def kind_of(value: Any) -> str:
    """The type of a JSON value, in words."""
    for kind, name in _KINDS.items():
        if isinstance(value, kind):
            return name
    return "null"


_TOO_DEEP = f"nested more than {_MOST_DEPTH} deep"
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice[:80]!r} is given twice")
    return found


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text.lstrip('-'))} digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(value: Any) -> None:
    """Raises ValueError for a value nested too deeply to be compared or printed safely."""
    level = [value]
    for _ in range(_MOST_DEPTH):
        level = [item for outer in level if isinstance(outer, (dict, list)) for item in _items(outer)]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _items(outer: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer
