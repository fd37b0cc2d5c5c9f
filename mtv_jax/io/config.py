"""Config files at the command line: `--config file.py[:argument]` and `--config.key=value`.

A config file has `get_config(arg: str = "") -> ml_collections.ConfigDict`. An override keeps the type of the value that
it replaces. A key that the config does not have is an error, which names the nearest one; only an open section, one
that is empty in the config, takes any key.
"""

import ast
import contextlib
import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ml_collections import ConfigDict

from mtv_jax.io.config_modules import run_config
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file

PREFIX = "--config."


def load_config(spec: str, overrides: Mapping[str, str] | None = None) -> ConfigDict:
    """The locked config of `spec`, `path` or `path:argument`, with dotted keys replaced by `overrides`."""
    path, argument = _split_spec(spec)
    get_config = getattr(_load_module(path), "get_config", None)
    if get_config is None:
        raise UserError(f"{path}: no config file: it has no function get_config")
    try:
        config = get_config(argument)
    except ValueError as error:
        raise UserError(f"{spec}: {error}") from error
    config.lock()
    open_sections = [key for key, value in flatten(config) if isinstance(value, ConfigDict)]
    for key, text in (overrides or {}).items():
        if key.rpartition(".")[0] in open_sections:
            _add(config, key, text)
        else:
            override(config, key, text)
    return config


def parse_arg(arg: str, **known: Any) -> SimpleNamespace:
    """The argument of a config, such as `tiny,batch_size=4`: flags and `name=value`, separated by commas.

    Args:
      arg: what `get_config` is given.
      known: the names it may have, with their defaults. One whose default is False is a flag: its name sets it. Any
        other needs a value, of the type of the default.

    Returns:
      A namespace of all names in `known`.

    Raises:
      ValueError: an unknown name, or a value that is missing or of another type.
    """
    found = dict(known)
    for part in filter(None, arg.split(",")):
        name, equals, text = part.partition("=")
        if name not in known:
            names = (key if value is False else f"{key}=VALUE" for key, value in known.items())
            raise ValueError(f"unknown argument {name!r}; known are: {', '.join(names) or 'none'}")
        if not equals and known[name] is not False:
            raise ValueError(f"argument {name!r}: no value; write {name}=VALUE")
        kind = type(known[name])
        try:
            found[name] = parse(text, kind) if equals else True
        except (ValueError, SyntaxError) as error:
            raise ValueError(f"argument {part!r}: must be {_KINDS.get(kind, kind.__name__)}") from error
    return SimpleNamespace(**found)


def split_overrides(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Takes `--config.key=value` and `--config.key value` out of the arguments of a command."""
    rest: list[str] = []
    overrides: dict[str, str] = {}
    arguments = iter(argv)
    for argument in arguments:
        if not argument.startswith(PREFIX):
            rest.append(argument)
            continue
        key, equals, value = argument.removeprefix(PREFIX).partition("=")
        if not equals:
            value = next(arguments, None)
            if value is None:
                raise UserError(f"{argument}: no value; write {argument}=VALUE")
        overrides[key] = value
    return rest, overrides


def override(config: ConfigDict, key: str, text: str) -> None:
    """Sets the dotted `key` to the value of `text`, of the type it has.

    Raises UserError for an unknown key, a section, or a text of another type.
    """
    values = dict(flatten(config))
    if key not in values:
        raise UserError(_unknown(key, values))
    section, name = _section_of(config, key)
    kind = section.get_type(name)
    try:
        with section.unlocked() if kind is ConfigDict else contextlib.nullcontext():
            section[name] = parse(text, kind)
    except (ValueError, TypeError, SyntaxError) as error:
        raise UserError(f"config.{key}={text!r}: must be {_KINDS.get(kind, kind.__name__)}") from error


def _add(config: ConfigDict, key: str, text: str) -> None:
    """Sets a key of an open section to the Python literal `text`."""
    section, name = _section_of(config, key)
    try:
        with section.unlocked():
            section[name] = _literal(text)
    except (ValueError, TypeError, SyntaxError) as error:
        raise UserError(f"config.{key}={text!r}: must be a Python literal") from error


def _section_of(config: Any, key: str) -> tuple[Any, str]:
    """The section that holds a dotted key, and the name of the key in it."""
    *parents, name = key.split(".")
    for parent in parents:
        config = config[parent]
    return config, name


def parse(text: str, kind: type) -> Any:
    """`text` as a value of type `kind`. Raises ValueError or SyntaxError if it is none."""
    if kind is str:
        return text
    if kind is bool:
        return {"true": True, "false": False, "1": True, "0": False}[_known_bool(text)]
    if kind is int:
        return int(text)
    if kind is float:
        return _finite(float(text))
    if kind in (tuple, list):
        value = _literal(text)
        return kind(value) if isinstance(value, (tuple, list)) else kind([value])
    if kind is ConfigDict:
        return ConfigDict(_literal(text))
    return _literal(text)


_KINDS = {
    ConfigDict: "a dict such as \"{'a': {'b': 1}}\"",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    tuple: "a tuple such as \"('a', 'b')\"",
    list: "a list such as \"['a', 'b']\"",
}


def flatten(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested dicts, in order. An empty section is a value: a dict to fill."""
    for key, value in config.items():
        if isinstance(value, (ConfigDict, dict)) and len(value):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_finite(values: Any, name: str = "config") -> None:
    """Raises UserError, naming the key, for a number in nested dicts and lists that is NaN or infinite."""
    if isinstance(values, (ConfigDict, dict)):
        for key, value in values.items():
            check_finite(value, f"{name}.{key}")
    elif isinstance(values, (list, tuple)):
        for value in values:
            check_finite(value, name)
    elif isinstance(values, float) and not math.isfinite(values):
        raise UserError(f"{name} {values}: must be a finite number")


def describe(config: ConfigDict) -> str:
    """The keys that can be overridden, one a line, with their values."""
    return "\n".join(f"  --config.{key}={value!r}" for key, value in sorted(flatten(config)))


def to_plain(config: ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts, tuples as lists: what JSON keeps."""
    return {key: _plain(value) for key, value in config.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, (ConfigDict, dict)):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _split_spec(spec: str) -> tuple[Path, str]:
    path, _, argument = spec.partition(":")
    if Path(spec).exists():
        path, argument = spec, ""
    if not path.endswith(".py"):
        raise UserError(f"{spec}: a config is a Python file, file.py or file.py:argument")
    return existing_file(path), argument


def _load_module(path: Path) -> Any:
    try:
        return run_config(path)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: {type(error).__name__}: {error}") from error


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    sections = {".".join(name.split(".")[:n]) for name in known for n in range(1, name.count(".") + 1)}
    if key in sections:
        inside = ", ".join(name for name in known if name.startswith(f"{key}."))
        return f"config.{key}: a section; set one of {inside}"
    near = max(known, key=lambda name: _similarity(key, name), default=None)
    return f"config.{key}: unknown key" + (f"; did you mean config.{near}?" if near else "")


def _similarity(key: str, name: str) -> float:
    """How similar two keys are, as a whole or in their last part: the section is easily forgotten."""
    whole = difflib.SequenceMatcher(None, key, name).ratio()
    last = difflib.SequenceMatcher(None, key.rsplit(".", 1)[-1], name.rsplit(".", 1)[-1]).ratio()
    return max(whole, last)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(value)
    return value


def _known_bool(text: str) -> str:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(text)
    return text.lower()


def _literal(text: str) -> Any:
    """A Python literal; a bare word is a string."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        if text.startswith(("(", "[", "{")):
            raise
        return text
