"""The checker under which the tests run mtv_jax: annotated arguments, results and array shapes are checked.

`pyproject.toml` names it to jaxtyping's pytest plugin, which decorates the package's functions and dataclasses as
they are imported. `pytest --jaxtyping-packages=` runs without it; child processes always do.
"""

import functools
import operator
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable) -> Callable:
    """beartype with two concessions.

    An int is good where a float is asked for (PEP 484). And a name is not held to its `Literal`: names come from
    command lines and files, and the message with which the code itself refuses a wrong one is tested.
    """
    hints = getattr(function, "__annotations__", {})
    hints.update({name: _with_any_name(hint) for name, hint in hints.items()})
    return _check(function)


def _with_any_name(hint: Any) -> Any:
    """`hint` with `str` in place of `Literal["some", "names"]`."""
    if get_origin(hint) is Literal:
        return functools.reduce(operator.or_, {type(value) for value in get_args(hint)})
    if get_origin(hint) in (Union, types.UnionType):
        return functools.reduce(operator.or_, map(_with_any_name, get_args(hint)))
    return hint
