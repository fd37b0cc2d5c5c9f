"""Canonical names for tensors that have different names in different checkpoints."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mtv_jax.io.errors import UserError

Aliases = Sequence[tuple[str, str]]
"""Regular expressions and replacements, applied in order to a checkpoint's keys."""


def canonical_key(key: str, aliases: Aliases) -> str:
    """The name that a network's rules use for `key`."""
    for pattern, replacement in aliases:
        key = re.sub(pattern, replacement, key)
    return key


class Canonical(Mapping[str, Any]):
    """A checkpoint (of array-likes for `numpy.asarray`) under canonical names; tensors are read lazily.

    Several keys may share a name if their tensors are equal (tied weights that were saved twice);
    reading one raises UserError if they differ.
    """

    def __init__(self, state: Mapping[str, Any], aliases: Aliases):
        self._state = state
        self._originals: dict[str, list[str]] = {}
        for key in state:
            self._originals.setdefault(canonical_key(key, aliases), []).append(key)

    def __getitem__(self, key: str) -> Any:
        first, *others = self._originals[key]
        tensor = self._state[first]
        for other in others:
            if not np.array_equal(tensor, self._state[other]):
                raise UserError(f"{first} and {other}: should be the same tensor, but differ")
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._originals)

    def __len__(self) -> int:
        return len(self._originals)
