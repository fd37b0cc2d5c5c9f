"""Rules over parameter paths, and the shardings they give.

A rule is a regular expression with a value; the first rule whose expression matches the *whole* path applies. Sharding,
training, learning rates and weight decay all use such rules. Paths are joined by `/` and start below `params`:
`blocks/attn1/to_q/kernel`.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import jax
from jax.sharding import NamedSharding, PartitionSpec

from mtv_jax.io.errors import UserError
from mtv_jax.sharding.mesh import AnyMesh

T = TypeVar("T")
Spec = tuple[str | None, ...]

WEIGHT_RULES: tuple[tuple[str, Spec], ...] = (
    # The second product of a pair (attention's output, the feed-forward's, a residual block's) takes the input sharding
    # that the first one produces: split over tensor, by heads in attention.
    (r".*/(to_out|out_proj|o|down(_\w+)?|output_dense|out_conv)/kernel", ("tensor", "fsdp")),
    (r".*embedding", (None, "fsdp")),
    (r".*kernel", ("fsdp", "tensor")),
    (r".*", ()),
)
"""Sharding of the weights. A spec names the *last* axes of an array (scanned weights have a leading layer axis,
convolutions their window), so one rule covers all of these; leading axes are not split."""


def match_rules(path: str, rules: Iterable[tuple[str, T]], default: T) -> T:
    """The value of the first rule whose expression matches all of `path`, or `default`."""
    for pattern, value in rules:
        if re.fullmatch(pattern, path):
            return value
    return default


def parameter_path(keys: Sequence[Any]) -> str | None:
    """Path of a parameter from the key path of a leaf, e.g. in an optimiser's state: the part after the last key
    `params`. None if there is no such key."""
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
    """Applies `function(path, leaf)` to each leaf of a tree of parameters (`{"params": ...}`)."""

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
    """Raises UserError if a pattern is not a valid regular expression."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"{what}: {pattern!r} is not a regular expression ({error})") from error


def check_matches(patterns: Iterable[str], names: Sequence[str], what: str) -> None:
    """Raises UserError if a pattern matches none of the paths in `names`."""
    for pattern in patterns:
        if not any(re.fullmatch(pattern, name) for name in names):
            raise UserError(f"{what}: {pattern!r} matches no parameter, such as {names[0]!r}")


def partition_spec(path: str, shape: tuple[int, ...], mesh: AnyMesh) -> PartitionSpec:
    """The sharding of the parameter at `path` on `mesh`.

    A mesh axis that does not divide its dimension is moved to the largest other dimension that the rule covers and that
    it divides (the last of equals), together with an axis that is already there if their product divides. If there is
    none it is dropped, and the parameter is replicated along the axis. The layer axis of stacks and the windows of
    convolutions precede the dimensions that rules cover, and are never split.
    """
    spec = match_rules(path, WEIGHT_RULES, ())
    spec = spec[max(0, len(spec) - len(shape)) :]
    front = len(shape) - len(spec)
    chosen: dict[int, tuple[str, ...]] = {dim: () for dim in range(len(shape))}

    def divides(axis: str, dim: int) -> bool:
        parts = math.prod(mesh.shape[name] for name in (*chosen[dim], axis))
        return shape[dim] % parts == 0

    homeless = []
    for dim, axis in enumerate(spec, front):
        if axis is not None and divides(axis, dim):
            chosen[dim] = (axis,)
        elif axis is not None:
            homeless.append(axis)
    for axis in homeless:
        able = [dim for dim in range(front, len(shape)) if divides(axis, dim)]
        if able:
            best = max(able, key=lambda dim: (shape[dim], dim))
            chosen[best] += (axis,)
    return PartitionSpec(*map(_entry, chosen.values()))


def _entry(axes: tuple[str, ...]) -> str | tuple[str, ...] | None:
    if len(axes) > 1:
        return axes
    return axes[0] if axes else None


def tree_shardings(tree: Any, mesh: AnyMesh) -> Any:
    """Shardings of a tree of parameters, or of one with the same paths (gradients, moments, EMA).

    Leaves outside of a key `params` (step counts) are replicated. `tree` may be abstract.
    """

    def place(keys, leaf):
        path = parameter_path(keys)
        spec = PartitionSpec() if path is None else partition_spec(path, leaf.shape, mesh)
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(place, tree)
