"""Rules over parameter paths, and the shardings they give.

One idea serves everything that is said of weights by name: a rule is a regular expression with a
value, and the first rule whose expression matches the *whole* path holds. Paths are joined by `/` and
begin below `params`: `blocks/attn1/to_q/kernel`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from mtv_jax.io.errors import UserError

T = TypeVar("T")
Spec = tuple[str | None, ...]

WEIGHT_RULES: tuple[tuple[str, Spec], ...] = (
    # The second product of a pair (attention's output, the feed-forward's) takes its input as the first one
    # left it: split over tensor, by heads in attention.
    (r".*/(to_out|out_proj|o|down|output_dense)/kernel", ("tensor", "fsdp")),
    (r".*embedding", (None, "fsdp")),
    (r".*kernel", ("fsdp", "tensor")),
    (r".*", ()),
)
"""How weights lie on the mesh. A spec names the *last* axes of an array (scanned weights have the layer
in front, convolutions their window), so one rule serves all of these; axes in front are not split."""


def match_rules(path: str, rules: Iterable[tuple[str, T]], default: T) -> T:
    """The value of the first rule whose expression matches all of `path`, or `default`."""
    for pattern, value in rules:
        if re.fullmatch(pattern, path):
            return value
    return default


def parameter_path(keys: Sequence[Any]) -> str | None:
    """Path of a parameter from the key path of a leaf, e.g. inside an optimiser's state: what follows
    the last key `params`. None if there is none."""
    names = [_name(key) for key in keys]
    if "params" not in names:
        return None
    last = len(names) - 1 - names[::-1].index("params")
    return "/".join(names[last + 1 :]) or None


def _name(key: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def map_paths(function: Callable[[str, Any], Any], params: Any) -> Any:
    """`function(path, leaf)` on each leaf of a tree of parameters (`{"params": ...}`)."""

    def visit(keys, leaf):
        path = parameter_path(keys)
        if path is None:
            raise ValueError(f"{jax.tree_util.keystr(keys)} is not below 'params'")
        return function(path, leaf)

    return jax.tree_util.tree_map_with_path(visit, params)


def paths(params: Any) -> list[str]:
    """The path of every parameter, in the order of the tree's leaves."""
    found: list[str] = []
    map_paths(lambda path, _: found.append(path), params)
    return found


def check_syntax(patterns: Iterable[str], what: str) -> None:
    """Raises UserError if a pattern is no regular expression."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"{what}: {pattern!r} is not a regular expression ({error})") from error


def check_matches(patterns: Iterable[str], names: Sequence[str], what: str) -> None:
    """Raises UserError if a pattern matches none of the paths `names`."""
    for pattern in patterns:
        if not any(re.fullmatch(pattern, name) for name in names):
            raise UserError(f"{what}: {pattern!r} matches no parameter, such as {names[0]!r}")


def partition_spec(
    path: str, shape: tuple[int, ...], mesh: Mesh | AbstractMesh, rules=WEIGHT_RULES
) -> PartitionSpec:
    """How the parameter at `path` lies on `mesh`.

    A mesh axis that does not divide the dimension it would split is dropped for that dimension, which
    is then whole on every device of the axis: correct at any size, only less frugal with memory.
    """
    spec = match_rules(path, rules, ())
    spec = spec[max(0, len(spec) - len(shape)) :]
    spec = (None,) * (len(shape) - len(spec)) + tuple(spec)
    kept = (axis if axis and n % mesh.shape[axis] == 0 else None for axis, n in zip(spec, shape, strict=True))
    return PartitionSpec(*kept)


def tree_shardings(tree: Any, mesh: Mesh, rules=WEIGHT_RULES) -> Any:
    """Shardings of a tree that holds parameters or mirrors them (gradients, moments, EMA).

    Leaves that are not below a key `params` (step counts) are replicated. `tree` may be abstract.
    """

    def place(keys, leaf):
        path = parameter_path(keys)
        spec = PartitionSpec() if path is None else partition_spec(path, leaf.shape, mesh, rules)
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(place, tree)
