"""Checks a value against a JSON schema, with an error of one line that names the key.

What the schemas of this package use: type, enum, anyOf, properties, required, additionalProperties, items, minItems,
minLength, minimum, exclusiveMinimum and maximum.
"""

import difflib
import math
from collections.abc import Mapping
from typing import Any

from mtv_jax.io.errors import UserError

_TYPES = {
    "object": (dict, "a mapping"),
    "array": (list, "a list"),
    "string": (str, "a text"),
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
}


def check_schema(value: Any, schema: Mapping[str, Any], where: str) -> None:
    """Raises UserError, which begins with `where` and the key, unless `value` is of `schema`."""
    if "anyOf" in schema:
        _check_any(value, schema["anyOf"], where)
        return
    if not _is_kind(value, schema):
        raise UserError(f"{where}: {_shown(value)} must be {_needed(schema)}")
    if isinstance(value, dict):
        _check_object(value, schema, where)
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            raise UserError(f"{where}: is an empty list")
        for number, item in enumerate(value, 1):
            check_schema(item, schema.get("items", {}), f"{where}: entry {number}")
    elif isinstance(value, str):
        if len(value.strip()) < schema.get("minLength", 0):
            raise UserError(f"{where}: is blank")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_bounds(value, schema, where)


def _check_any(value: Any, options: list[Mapping[str, Any]], where: str) -> None:
    fitting = [option for option in options if _is_kind(value, option)]
    if not fitting:
        needed = " or ".join(dict.fromkeys(_needed(option) for option in options))
        raise UserError(f"{where}: {_shown(value)} must be {needed}")
    # No two alternatives here are of the same type.
    check_schema(value, fitting[0], where)


def _is_kind(value: Any, schema: Mapping[str, Any]) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    if "type" not in schema:
        return True
    kind, _ = _TYPES[schema["type"]]
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _needed(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    return _TYPES[schema["type"]][1]


def _check_object(value: Mapping[Any, Any], schema: Mapping[str, Any], where: str) -> None:
    properties, other = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, item in value.items():
        if key not in properties and other is False:
            raise UserError(f"{where}: {key}: is not known; {_nearest(str(key), list(properties))}")
        inner = properties.get(key, other if isinstance(other, Mapping) else {})
        check_schema(item, inner, f"{where}: {key}")
    for key in schema.get("required", ()):
        if key not in value:
            raise UserError(f"{where}: {key}: is missing")


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def _check_bounds(value: float, schema: Mapping[str, Any], where: str) -> None:
    if not math.isfinite(value):
        raise UserError(f"{where}: {value} must be a finite number")
    if value < schema.get("minimum", -math.inf):
        raise UserError(f"{where}: {value} must be at least {schema['minimum']}")
    if value <= schema.get("exclusiveMinimum", -math.inf):
        raise UserError(f"{where}: {value} must be above {schema['exclusiveMinimum']}")
    if value > schema.get("maximum", math.inf):
        raise UserError(f"{where}: {value} must be at most {schema['maximum']}")


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
