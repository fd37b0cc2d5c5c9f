"""Collectives of a compiled program, parsed from its HLO text: kinds, counts and bytes."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

_COLLECTIVE = re.compile(
    r" (all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute|ragged-all-to-all)(-start)?\("
)
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_SHAPE = re.compile(r"\b(pred|[suf]\d+|bf16|f8e\w+|c64)\[([\d,]*)\]")
_CALLS = re.compile(r"(?:body|calls|to_apply)=%?([\w.\-]+)|branch_computations=\{([^}]*)\}")
_CONDITION = re.compile(r"condition=%?([\w.\-]+)")
_LIMIT = re.compile(r" s32\[\]\S* constant\((\d+)\)")
_GROUPS = re.compile(r"replica_groups=(\{\{[\d,]+\}|\[\d+,\d+\]|mesh\[[^\]]*\] \{[^}]*\})")


@dataclass(frozen=True)
class Collective:
    """All collectives of a kind: number of executions in the program, and total bytes that each device sends."""

    count: int
    bytes: float


def collectives(text: str) -> dict[str, Collective]:
    """Collectives of a compiled program (`compiled.as_text()`), those in a loop multiplied by its trip count.

    Bytes are those that each device sends in a ring algorithm over the group.
    """
    computations, entry = _computations(text)
    totals: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])
    for name, times in _visits(computations, entry):
        for line in computations[name]:
            match = _COLLECTIVE.search(line)
            if match:
                totals[match[1]][0] += times
                totals[match[1]][1] += times * _sent(match[1], line)
    return {kind: Collective(int(count), sent) for kind, (count, sent) in sorted(totals.items())}


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    entry = ""
    for line in text.splitlines():
        match = None if line.startswith(" ") else _COMPUTATION.match(line)
        if match:
            current = found.setdefault(match[1], [])
            entry = match[1] if line.startswith("ENTRY") else entry
        else:
            current.append(line)
    return found, entry


def _visits(computations: dict[str, list[str]], name: str, times: int = 1) -> Iterator[tuple[str, int]]:
    """Every executed computation, with its number of executions."""
    yield name, times
    for line in computations[name]:
        inner = times * _trips(computations, line)
        for single, several in _CALLS.findall(line):
            for called in re.findall(r"[\w.\-]+", single or several):
                if called in computations:
                    yield from _visits(computations, called, inner)


def _trips(computations: dict[str, list[str]], line: str) -> int:
    """Trip count of a loop: the constant its condition compares the counter with; 1 if unknown."""
    condition = _CONDITION.search(line) if " while(" in line else None
    limits = (
        [int(n) for text in computations.get(condition[1], []) for n in _LIMIT.findall(text)]
        if condition
        else []
    )
    return max(limits, default=1)


def _sent(kind: str, line: str) -> float:
    """Bytes that each device of the group sends for one collective."""
    size = max((_bytes(*shape) for shape in _SHAPE.findall(line.split(", channel_id")[0])), default=0)
    members = _group_size(line)
    if kind == "collective-permute":
        return float(size)
    if kind == "reduce-scatter":
        # The line shows the result; the input is the result times the size of the group.
        operand = line.split("reduce-scatter")[-1]
        size = size if _SHAPE.search(operand.split(",")[0]) else size * members
    share = (members - 1) / members
    return size * share * (2 if kind == "all-reduce" else 1)


def _bytes(dtype: str, dims: str) -> int:
    width = 1 if dtype == "pred" or dtype.startswith("f8") else {"bf16": 2, "c64": 8}.get(dtype, 0)
    width = width or max(int(re.sub(r"\D", "", dtype)) // 8, 1)
    return width * math.prod(int(n) for n in dims.split(",") if n)


def _group_size(line: str) -> int:
    match = _GROUPS.search(line)
    if not match:
        return 2
    text = match[1]
    if text.startswith("{{"):
        return text.count(",") + 1
    if text.startswith("["):
        return int(text[1:-1].split(",")[1])
    # mesh['a'=4,'b'=2] {'a'}: the product of the axes named.
    axes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", text)}
    return math.prod(axes[name] for name in re.findall(r"'([^']+)'", text.split("]")[1]))
