"""Weight tables: one per network, mapping checkpoint names to parameter paths and back.

A rule pairs a checkpoint key with the path of the parameter it fills:

    Rule("encoder.block.{layer}.layer.0.SelfAttention.q.weight", "blocks/attention/q/kernel", LINEAR)

`{name}` stands for an integer and must appear on both sides, except `{layer}`, which appears in the
key only: the path then names the array that `nn.scan` stacks over layers (axis 0). In a tree that was
not scanned the component `blocks` reads `blocks_<layer>`; the same rule serves both.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from mtv_jax.io.errors import UserError
from mtv_jax.typing import Params


@dataclass(frozen=True)
class Layout:
    """Array layout in the checkpoint (torch) and here.

    `unit_axes` leading and `trailing` last axes of size 1 exist only in the checkpoint; `permutation` maps the
    remaining axes to ours.
    """

    permutation: tuple[int, ...] | None = None
    unit_axes: int = 0
    trailing: int = 0

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        """The checkpoint's array in our axis order (a view). Raises ValueError if the rank differs."""
        array = array.squeeze((*range(self.unit_axes), *range(-self.trailing, 0)))
        return array if self.permutation is None else array.transpose(self.permutation)

    def to_theirs(self, array: np.ndarray) -> np.ndarray:
        """Our array in the checkpoint's axis order (a view)."""
        array = array if self.permutation is None else array.transpose(np.argsort(self.permutation))
        return array.reshape(self._padded(array.shape))

    def shape_there(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The checkpoint's shape of an array of `shape` here; None if the rank does not match this layout."""
        if self.permutation is None:
            return self._padded(shape)
        if len(self.permutation) != len(shape):
            return None
        return self._padded(tuple(shape[i] for i in np.argsort(self.permutation)))

    def _padded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1,) * self.unit_axes + shape + (1,) * self.trailing


PLAIN = Layout()
BATCHED = Layout(unit_axes=1)  # (1, ...) -> (...)
LINEAR = Layout((1, 0))  # (out, in) -> (in, out)
POINTWISE2D = Layout((1, 0), trailing=2)  # (out, in, 1, 1) -> (in, out)
CONV1D = Layout((2, 1, 0))  # (out, in, k) -> (k, in, out)
CONV2D = Layout((2, 3, 1, 0))  # (out, in, h, w) -> (h, w, in, out)
CONV3D = Layout((2, 3, 4, 1, 0))  # (out, in, t, h, w) -> (t, h, w, in, out)


@dataclass(frozen=True)
class Rule:
    """One checkpoint tensor (or, with placeholders, a family of them) and the parameters it fills.

    With several paths the tensor is fused: it is split into equal parts along its first axis (torch's),
    and `parts[i]` lists, in order, those that form path i. By default part i forms path i.
    """

    key: str
    path: str | tuple[str, ...]
    layout: Layout = PLAIN
    parts: tuple[tuple[int, ...], ...] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The parameter paths this rule fills."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @cached_property
    def slots(self) -> tuple[tuple[int, ...], ...]:
        """For each path, the parts of the checkpoint tensor it takes."""
        return self.parts or tuple((i,) for i in range(len(self.paths)))

    @cached_property
    def num_parts(self) -> int:
        """Number of parts the checkpoint tensor is split into."""
        return sum(len(slot) for slot in self.slots)

    @property
    def per_layer(self) -> bool:
        """Whether the key is one of a stack of layers."""
        return "{layer}" in self.key

    @cached_property
    def prefixes(self) -> tuple[str, ...]:
        """For each path, what it begins with, stacked or not: comparing it is much faster than an expression."""
        return tuple(re.split(r"\{|\bblocks\b", path, maxsplit=1)[0] for path in self.paths)

    @cached_property
    def patterns(self) -> tuple[tuple[re.Pattern[str], re.Pattern[str] | None], ...]:
        """For each path, the expressions that match it stacked and unstacked."""
        return tuple((_pattern(p), _pattern(_unstacked(p)) if self.per_layer else None) for p in self.paths)


def linear(
    key: str,
    path: str | tuple[str, ...],
    layout: Layout = LINEAR,
    parts: tuple[tuple[int, ...], ...] | None = None,
) -> tuple[Rule, Rule]:
    """The rules of a linear layer's or convolution's weight and bias. With several paths both are fused (`Rule`)."""
    if isinstance(path, str):
        return Rule(f"{key}.weight", f"{path}/kernel", layout), Rule(f"{key}.bias", f"{path}/bias")
    kernels, biases = (tuple(f"{p}/{leaf}" for p in path) for leaf in ("kernel", "bias"))
    return Rule(f"{key}.weight", kernels, layout, parts), Rule(f"{key}.bias", biases, parts=parts)


def norm(key: str, path: str) -> tuple[Rule, Rule]:
    """The rules of a norm's scale and bias."""
    return Rule(f"{key}.weight", f"{path}/scale"), Rule(f"{key}.bias", f"{path}/bias")


def batch_norm(key: str, path: str) -> tuple[Rule, ...]:
    """The rules of a batch norm whose statistics are parameters (`ops.norms.FixedBatchNorm`)."""
    statistics = (Rule(f"{key}.running_{name}", f"{path}/{name}") for name in ("mean", "var"))
    return *norm(key, path), *statistics


def under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of one network in a file of several: those whose names begin with `prefix`, without it."""
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


@dataclass(frozen=True)
class Source:
    """Where (a layer of) a parameter comes from: the checkpoint tensor and the parts of it, in order."""

    key: str
    rule: Rule
    slot: tuple[int, ...]

    def extract(self, tensor: np.ndarray) -> np.ndarray:
        """The parameter, in our layout."""
        if self.rule.num_parts == 1:
            return self.rule.layout.to_ours(tensor)
        pieces = np.split(tensor, self.rule.num_parts, axis=0)
        chosen = [pieces[i] for i in self.slot]
        return self.rule.layout.to_ours(chosen[0] if len(chosen) == 1 else np.concatenate(chosen))

    def tensor_shape(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Shape of the checkpoint tensor, from that of the parameter it fills; None if the shapes are incompatible."""
        there = self.rule.layout.shape_there(shape)
        if there is None or self.rule.num_parts == 1:
            return there
        size, left = divmod(there[0], len(self.slot))
        return None if left else (size * self.rule.num_parts, *there[1:])


@dataclass(frozen=True)
class Leaf:
    """A lazily read parameter of a checkpoint: indexing reads a layer, `numpy.asarray` all of it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    stacked: bool
    parts: tuple[tuple[Source, Any], ...]

    def __getitem__(self, layer: int) -> np.ndarray:
        source, tensor = self.parts[layer]
        return source.extract(np.asarray(tensor))

    def __len__(self) -> int:
        return len(self.parts)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = np.stack([self[i] for i in range(len(self))]) if self.stacked else self[0]
        return whole if dtype is None else whole.astype(dtype)


@dataclass(frozen=True)
class Tensor:
    """A checkpoint tensor computed lazily from parameters by `numpy.asarray`."""

    shape: tuple[int, ...]
    dtype: np.dtype
    pieces: tuple[tuple[Source, Any, int | None], ...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        parts: dict[int, np.ndarray] = {}
        for source, leaf, layer in self.pieces:
            ours = np.asarray(leaf if layer is None else leaf[layer])
            theirs = source.rule.layout.to_theirs(ours)
            # A number without axes cannot be split.
            split = np.split(theirs, len(source.slot)) if theirs.ndim else [theirs]
            parts |= zip(source.slot, split, strict=True)
        whole = [parts[i] for i in range(len(parts))]
        joined = np.asarray(whole[0] if len(whole) == 1 else np.concatenate(whole), order="C")
        return joined if dtype is None else joined.astype(dtype)


def flat_paths(tree: Params) -> dict[str, Any]:
    """`{"params": tree}` as a flat dict with paths like `blocks/attn/q/kernel`."""
    return flatten_dict(tree["params"], sep="/")


def from_flat_paths(flat: Mapping[str, Any]) -> Params:
    """The inverse of `flat_paths`."""
    return {"params": unflatten_dict(dict(flat), sep="/")}


def sources(rules: Iterable[Rule], shapes: Params) -> dict[str, list[Source]]:
    """For every parameter path, its sources: one, or one a layer for a stacked parameter.

    `shapes` is a tree of arrays or ShapeDtypeStructs. Raises ValueError if a parameter has no rule.
    """
    rules = tuple(rules)
    found, missing = {}, []
    for path, leaf in flat_paths(shapes).items():
        match = _find(rules, path)
        if match is None:
            missing.append(path)
            continue
        rule, slot, indices, stacked = match
        layers = range(leaf.shape[0]) if stacked else [indices.get("layer")]
        found[path] = [Source(_fill(rule.key, {**indices, "layer": n}), rule, slot) for n in layers]
    if missing:
        raise ValueError(f"no rule for parameters: {listing(missing)}")
    return found


def to_params(
    state: Mapping[str, Any],
    rules: Iterable[Rule],
    shapes: Params,
    *,
    ignored: Iterable[str] = (),
    origin: str = "checkpoint",
    place: Callable[[str, Leaf], Any] = lambda path, leaf: np.asarray(leaf),
) -> Params:
    """Fills a tree of `shapes` from checkpoint tensors.

    `state` holds arrays, or array-likes with `shape` and `dtype` for `numpy.asarray`. `ignored` are regular
    expressions of keys that are not weights. `place(path, leaf)` reads and places a parameter; all shapes have been
    checked by then. Raises UserError naming tensors that are missing, unexpected or of another shape (the first 20,
    and the number of others).
    """
    plan = sources(rules, shapes)
    wanted = {source.key for group in plan.values() for source in group}
    skip = [re.compile(pattern) for pattern in ignored]
    unused = [k for k in state if k not in wanted and not any(p.fullmatch(k) for p in skip)]
    absent = sorted(wanted - set(state))
    problems = [f"missing tensors: {listing(absent)}"] if absent else []
    problems += [f"unexpected tensors: {listing(sorted(unused))}"] if unused else []
    if problems:
        raise UserError(f"{origin}: {'; '.join(problems)}")
    tensors = {key: state[key] for key in wanted}
    leaves, wrong = {}, []
    for path, leaf in flat_paths(shapes).items():
        stacked = _is_stacked(plan[path], path)
        shape = tuple(leaf.shape)
        wrong += _misfits(path, plan[path], tensors, shape[1:] if stacked else shape)
        parts = tuple((source, tensors[source.key]) for source in plan[path])
        leaves[path] = Leaf(shape, parts[0][1].dtype, stacked, parts)
    if wrong:
        raise UserError(f"{origin}: tensors of another shape: {listing(wrong)}")
    return from_flat_paths({path: place(path, leaf) for path, leaf in leaves.items()})


def _misfits(
    path: str, group: list[Source], tensors: Mapping[str, Any], shape: tuple[int, ...]
) -> Iterator[str]:
    for source in group:
        needed, found = source.tensor_shape(shape), tuple(tensors[source.key].shape)
        if found != needed:
            yield f"{source.key} has shape {found}, {path} needs {needed}"


def to_tensors(params: Params, rules: Iterable[Rule]) -> dict[str, Tensor]:
    """The checkpoint tensors of a parameter tree, computed lazily.

    Leaves are arrays or `Leaf`. Raises ValueError if a tensor would be incomplete.
    """
    pieces: dict[str, list[tuple[Source, Any, int | None]]] = {}
    for path, group in sources(rules, params).items():
        leaf = _leaf(params, path)
        stacked = _is_stacked(group, path)
        for layer, source in enumerate(group):
            pieces.setdefault(source.key, []).append((source, leaf, layer if stacked else None))
    return {key: _tensor(key, tuple(found)) for key, found in pieces.items()}


def _tensor(key: str, pieces: tuple[tuple[Source, Any, int | None], ...]) -> Tensor:
    source, leaf, layer = pieces[0]
    filled = sum(len(piece.slot) for piece, _, _ in pieces)
    if filled != source.rule.num_parts:
        raise ValueError(f"{key}: only {filled} of {source.rule.num_parts} parts are among the parameters")
    shape = source.tensor_shape(tuple(leaf.shape[1:] if layer is not None else leaf.shape))
    return Tensor(shape or (), np.dtype(leaf.dtype), pieces)


def to_state(params: Params, rules: Iterable[Rule]) -> dict[str, np.ndarray]:
    """The checkpoint tensors of a parameter tree: the inverse of `to_params`."""
    return {key: np.asarray(tensor) for key, tensor in to_tensors(params, rules).items()}


def _leaf(params: Params, path: str) -> Any:
    node: Any = params["params"]
    for name in path.split("/"):
        node = node[name]
    return node


def _is_stacked(group: list[Source], path: str) -> bool:
    return group[0].rule.per_layer and any(p[0].fullmatch(path) for p in group[0].rule.patterns)


def _find(rules: tuple[Rule, ...], path: str):
    for rule in rules:
        for number, prefix in enumerate(rule.prefixes):
            if not path.startswith(prefix):
                continue
            stacked, unstacked = rule.patterns[number]
            if match := stacked.fullmatch(path):
                return rule, rule.slots[number], match.groupdict(), rule.per_layer
            if unstacked is not None and (match := unstacked.fullmatch(path)):
                return rule, rule.slots[number], match.groupdict(), False
    return None


def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.escape(template)
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", escaped))


def _unstacked(path: str) -> str:
    return re.sub(r"(^|/)blocks(/|$)", r"\1blocks_{layer}\2", path)


def _fill(template: str, indices: Mapping[str, Any]) -> str:
    return template.format(**{k: v for k, v in indices.items() if v is not None})


_LISTED = 20
"""Maximum number of names in a message."""


def listing(names: Sequence[str]) -> str:
    """The first names, and the number of others."""
    shown = ", ".join(names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"
