"""Config trees (`ml_collections.ConfigDict`) made from frozen dataclasses, and dataclasses made from trees.

A dataclass is the only place that says which fields a config has, of what types and with which defaults: its tree has
a key for every field, so that every field can be set from the command line.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ml_collections import ConfigDict, config_dict

from mtv_jax.io.errors import UserError


def to_tree(config: Any, kinds: Mapping[str, type] | None = None) -> ConfigDict:
    """The tree of a dataclass, with its defaults, or of an instance of one, with its values.

    A nested dataclass is a section, and a mapping is an open section, one that takes any key. A field without a value
    (it has no default, or it is None) is a placeholder of its type.

    Args:
      config: a dataclass, or an instance.
      kinds: for fields that may be one of several dataclasses, which one it is.
    """
    tree = ConfigDict()
    for name, (hint, default) in _typed_fields(config, kinds).items():
        tree[name] = _node(hint, default)
    return tree


def from_dict(
    kind: type, values: Mapping[str, Any], name: str, kinds: Mapping[str, type] | None = None
) -> Any:
    """An instance of the dataclass `kind` with the values of nested dicts, such as `to_tree(kind).to_dict()`.

    A field that is left out has its default; an empty mapping of an optional field is None; lists of fields that
    are tuples become tuples. `name` is what errors call `values`; `kinds` is as for `to_tree`.

    Raises:
      UserError: a key that `kind` does not have, a missing value, or text where a mapping has numbers.
    """
    known = _typed_fields(kind, kinds)
    for key in values:
        if key not in known:
            raise UserError(f"{name}.{key}: unknown key; known are {', '.join(known)}")
    found = {}
    for key, (hint, default) in known.items():
        value = values.get(key, {} if default is MISSING and is_dataclass(hint) else None)
        if value is None and default is MISSING:
            raise UserError(f"{name}.{key}: not given; add --{name}.{key}=VALUE")
        if key in values or value is not None:
            found[key] = _value(hint, default, value, f"{name}.{key}")
    return kind(**found)


def _typed_fields(config: Any, kinds: Mapping[str, type] | None) -> dict[str, tuple[Any, Any]]:
    """The type and the value of each field (of a dataclass its default, or MISSING); types without `| None`."""
    hints = get_type_hints(config if isinstance(config, type) else type(config)) | dict(kinds or {})
    return {f.name: (_not_none(hints[f.name]), _value_of(config, f)) for f in fields(config)}


def _value_of(config: Any, known: Field) -> Any:
    if not isinstance(config, type):
        return getattr(config, known.name)
    return known.default if known.default_factory is MISSING else known.default_factory()


def _not_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, UnionType):
        return hint
    arms = [arm for arm in get_args(hint) if arm is not NoneType]
    return arms[0] if len(arms) == 1 else hint


def _node(hint: Any, value: Any) -> Any:
    """What a tree holds for a field."""
    if is_dataclass(value):
        return to_tree(value)
    if is_dataclass(hint) and value is MISSING:
        return to_tree(hint)
    if get_origin(hint) is not None and issubclass(_class(hint), Mapping):
        return ConfigDict({} if value is MISSING else dict(value or {}))
    if value is MISSING or value is None:
        return config_dict.placeholder(_class(hint))
    return value


def _class(hint: Any) -> type:
    """The class of values of a type: `tuple` of `tuple[str, ...]`, `str` of `Literal["a", "b"]`."""
    if get_origin(hint) is Literal:
        return type(get_args(hint)[0])
    return get_origin(hint) or hint


def _value(hint: Any, default: Any, value: Any, name: str) -> Any:
    """A field's value from what a tree holds for it."""
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        whole = (
            {} if default in (None, MISSING) else {f.name: getattr(default, f.name) for f in fields(default)}
        )
        return from_dict(hint, whole | dict(value), name)
    if get_origin(hint) is not None and isinstance(value, Mapping):
        return _mapping(hint, value, name) or (None if default is None else {})
    return _as_tuples(value) if _class(hint) is tuple else value


def _mapping(hint: Any, value: Mapping[str, Any], name: str) -> dict[str, Any]:
    if get_args(hint)[1] is float:
        for key, number in value.items():
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise UserError(f"{name}.{key} {number!r}: must be a number")
    return dict(value)


def _as_tuples(value: Any) -> Any:
    """Lists, which is what JSON makes of tuples, as tuples."""
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value
