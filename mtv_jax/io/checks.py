"""Validates the fields of a config against their declared types and bounds, before anything is built from it."""

import functools
import math
import types
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mtv_jax.io.errors import UserError

_MOST_ENTRIES = 64
"""Maximum length of a list of sizes, such as the convolution widths of an encoder."""


def check_fields(config: Any, *, most: int, most_of: Mapping[str, int] | None = None) -> None:
    """Raises UserError, naming the field, unless all fields of a dataclass have their types and are within bounds.

    Integers, alone or in tuples, must be from 1 to `most` (or the field's entry in `most_of`), other numbers finite;
    a bool is not a number, and text must be one of the values of its `Literal`. Fields of other types are validated
    by their own class.
    """
    hints = _hints(type(config))
    for field in fields(config):
        value, hint = getattr(config, field.name), hints[field.name]
        needed = _needed(value, hint, (most_of or {}).get(field.name, most))
        if needed:
            raise UserError(f"{field.name} {_short(value)}: must be {needed}")


def check_whole(name: str, value: Any, *, most: int, least: int = 1) -> int:
    """Returns `value` if it is an integer within bounds, else raises UserError naming it."""
    if needed := _needed_whole(value, least, most):
        raise UserError(f"{name} {_short(value)}: must be {needed}")
    return value


def check_number(name: str, value: Any) -> float:
    """Returns `value` if it is a finite number, else raises UserError naming it."""
    if not _is_finite(value):
        raise UserError(f"{name} {_short(value)}: must be a finite number")
    return value


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _needed(value: Any, hint: Any, most: int) -> str | None:
    """A description of the values allowed for the type, or None if `value` is one of them."""
    options = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        needed = [_needed(value, option, most) for option in options if option is not type(None)]
        return (
            None
            if None in needed or (value is None and type(None) in options)
            else " or ".join(map(str, needed))
        )
    if get_origin(hint) is Literal:
        return None if value in options else f"one of {', '.join(map(str, options))}"
    if get_origin(hint) is tuple and options[:1] == (int,):
        right = isinstance(value, tuple) and 1 <= len(value) <= _MOST_ENTRIES
        right = right and all(_is_whole(item) and 1 <= item <= most for item in value)
        return None if right else f"a list of 1 to {_MOST_ENTRIES} whole numbers from 1 to {most}"
    if hint is bool:
        return None if isinstance(value, bool) else "true or false"
    if hint is int:
        return _needed_whole(value, 1, most)
    if hint is float:
        return None if _is_finite(value) else "a finite number"
    if hint is str:
        return None if isinstance(value, str) else "a string"
    return None


def _needed_whole(value: Any, least: int, most: int) -> str | None:
    if not _is_whole(value):
        return f"a whole number from {least} to {most}"
    if value < least:
        return f"at least {least}"
    return f"at most {most}" if value > most else None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    # An integer may be too large for a float.
    right = isinstance(value, (int, float)) and not isinstance(value, bool)
    return right and abs(value) < 1e300 and math.isfinite(value)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
