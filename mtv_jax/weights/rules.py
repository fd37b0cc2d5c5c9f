"""One table a network says how checkpoint names and parameter paths correspond, both ways.

A rule pairs a checkpoint key with the path of the parameter it fills:

    Rule("encoder.block.{layer}.layer.0.SelfAttention.q.weight", "blocks/attention/q/kernel", LINEAR)

`{name}` stands for an integer and must appear on both sides, but for `{layer}`, which appears in the
key only: the path then names the array that `nn.scan` stacks over layers (axis 0). In a tree that was
not scanned the component `blocks` reads `blocks_<layer>`; the same rule serves both.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from mtv_jax.io.errors import UserError
from mtv_jax.typing import Params


@dataclass(frozen=True)
class Layout:
    """How an array is laid out there (torch) and here.

    `unit_axes` leading axes of size 1 are theirs alone; then `permutation` takes theirs to ours.
    """

    permutation: tuple[int, ...] | None = None
    unit_axes: int = 0

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        """Their array in our axis order (a view). Raises ValueError if it does not have our rank."""
        array = array.squeeze(tuple(range(self.unit_axes)))
        return array if self.permutation is None else array.transpose(self.permutation)

    def to_theirs(self, array: np.ndarray) -> np.ndarray:
        """Our array in their axis order (a view)."""
        array = array if self.permutation is None else array.transpose(np.argsort(self.permutation))
        return array.reshape((1,) * self.unit_axes + array.shape)


PLAIN = Layout()
BATCHED = Layout(unit_axes=1)  # (1, ...) -> (...)
LINEAR = Layout((1, 0))  # (out, in) -> (in, out)
CONV1D = Layout((2, 1, 0))  # (out, in, k) -> (k, in, out)
CONV2D = Layout((2, 3, 1, 0))  # (out, in, h, w) -> (h, w, in, out)
CONV3D = Layout((2, 3, 4, 1, 0))  # (out, in, t, h, w) -> (t, h, w, in, out)


@dataclass(frozen=True)
class Rule:
    """One checkpoint tensor (or, with placeholders, a family of them) and the parameters it fills.

    With several paths the tensor is fused: it is cut into equal parts along its first axis (theirs),
    and `parts[i]` lists, in order, those that make up path i. By default part i makes up path i.
    """

    key: str
    path: str | tuple[str, ...]
    layout: Layout = PLAIN
    parts: tuple[tuple[int, ...], ...] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The parameter paths this rule fills."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def slots(self) -> tuple[tuple[int, ...], ...]:
        """For each path, the parts of the checkpoint tensor it takes."""
        return self.parts or tuple((i,) for i in range(len(self.paths)))

    @cached_property
    def num_parts(self) -> int:
        """Number of parts the checkpoint tensor is cut into."""
        return sum(len(slot) for slot in self.slots)

    @property
    def per_layer(self) -> bool:
        """Whether the key is one of a stack of layers."""
        return "{layer}" in self.key

    @cached_property
    def patterns(self) -> tuple[tuple[re.Pattern[str], re.Pattern[str] | None], ...]:
        """For each path, the expressions that match it stacked and unstacked."""
        return tuple((_pattern(p), _pattern(_unstacked(p)) if self.per_layer else None) for p in self.paths)


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
        raise ValueError(f"no rule for parameters: {_listing(missing)}")
    return found


def to_params(
    state: Mapping[str, np.ndarray],
    rules: Iterable[Rule],
    shapes: Params,
    *,
    ignored: Iterable[str] = (),
    origin: str = "checkpoint",
    place: Callable[[str, np.ndarray], Any] = lambda path, array: array,
) -> Params:
    """Fills a tree of `shapes` from checkpoint tensors.

    `ignored` are regular expressions of keys that are no weights; `place(path, array)` puts an array
    where it belongs (a device) and casts it. Raises UserError naming every tensor that is missing,
    left over or of another shape (the first 20, and how many more).
    """
    plan = sources(rules, shapes)
    wanted = {source.key for group in plan.values() for source in group}
    skip = [re.compile(pattern) for pattern in ignored]
    unused = [k for k in state if k not in wanted and not any(p.fullmatch(k) for p in skip)]
    absent = sorted(wanted - set(state))
    problems = [f"missing tensors: {_listing(absent)}"] if absent else []
    problems += [f"tensors nothing uses: {_listing(sorted(unused))}"] if unused else []
    if problems:
        raise UserError(f"{origin}: {'; '.join(problems)}")
    flat, wrong = {}, []
    for path, leaf in flat_paths(shapes).items():
        stacked = _is_stacked(plan[path], path)
        layers = [_extract(state, source) for source in plan[path]]
        shape = tuple(leaf.shape[1:] if stacked else leaf.shape)
        bad = [s for s, x in zip(plan[path], layers, strict=True) if x is None or x.shape != shape]
        wrong += [f"{s.key} has shape {tuple(state[s.key].shape)}, {path} needs {shape}" for s in bad]
        if not bad:
            flat[path] = place(path, np.stack(layers) if stacked else layers[0])  # pyright: ignore
    if wrong:
        raise UserError(f"{origin}: tensors of another shape: {_listing(wrong)}")
    return from_flat_paths(flat)


def to_state(params: Params, rules: Iterable[Rule]) -> dict[str, np.ndarray]:
    """The checkpoint tensors of a parameter tree: the inverse of `to_params`."""
    plan = sources(rules, params)
    parts: dict[str, dict[int, np.ndarray]] = {}
    fused: dict[str, int] = {}
    for path, leaf in flat_paths(params).items():
        array = np.asarray(leaf)
        layers = array if _is_stacked(plan[path], path) else [array]
        for source, layer in zip(plan[path], layers, strict=True):
            theirs = source.rule.layout.to_theirs(layer)
            fused[source.key] = source.rule.num_parts
            pieces = np.split(theirs, len(source.slot), axis=0) if len(source.slot) > 1 else [theirs]
            parts.setdefault(source.key, {}).update(zip(source.slot, pieces, strict=True))
    state = {}
    for key, pieces in parts.items():
        if len(pieces) != fused[key]:
            raise ValueError(f"{key}: only {len(pieces)} of {fused[key]} parts are among the parameters")
        whole = [pieces[i] for i in range(fused[key])]
        state[key] = np.ascontiguousarray(whole[0] if len(whole) == 1 else np.concatenate(whole))
    return state


def _extract(state: Mapping[str, np.ndarray], source: Source) -> np.ndarray | None:
    """A layer of a parameter, or None if the tensor cannot be cut or turned as its rule says."""
    try:
        return source.extract(state[source.key])
    except ValueError:
        return None


def _is_stacked(group: list[Source], path: str) -> bool:
    return group[0].rule.per_layer and any(p[0].fullmatch(path) for p in group[0].rule.patterns)


def _find(rules: tuple[Rule, ...], path: str):
    for rule in rules:
        for slot, (stacked, unstacked) in zip(rule.slots, rule.patterns, strict=True):
            if match := stacked.fullmatch(path):
                return rule, slot, match.groupdict(), rule.per_layer
            if unstacked is not None and (match := unstacked.fullmatch(path)):
                return rule, slot, match.groupdict(), False
    return None


def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.escape(template)
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", escaped))


def _unstacked(path: str) -> str:
    return re.sub(r"(^|/)blocks(/|$)", r"\1blocks_{layer}\2", path)


def _fill(template: str, indices: Mapping[str, Any]) -> str:
    return template.format(**{k: v for k, v in indices.items() if v is not None})


def _listing(names: list[str], most: int = 20) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
