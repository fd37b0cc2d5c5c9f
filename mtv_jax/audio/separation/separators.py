"""Separators by name. Imports no model, since `--help` reads the names.

A name is that of a separator of three tracks (`cdx23:PATH`, `audiosep:PATH`), of one that extracts speech (`dfn3`), or
of the latter and of a splitter of the rest, joined by a plus (`dfn3+hpss`).
"""

import functools
import importlib
from collections.abc import Sequence
from typing import Any

from mtv_jax.audio.separation.base import STEMS, Cascade, Separator
from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACKS

DEFAULT_SEPARATOR = "dfn3+mask"
"""By `benchmarks/separators.py`, of those whose weights come with the package's dependencies. `spleeter+mask` follows
speech better and is faster, but its effects are less exact on recordings, and its weights need `make spleeter`."""

_STEMS = {"dfn3": "deepfilternet:DeepFilterNet3", "spleeter": "spleeter:SpleeterStems"}
"""Separators that extract speech."""
_SPLITTERS = {"hpss": "hpss:HPSS", "mask": "mask:LearnedMask"}
"""Of what is not speech into effects and music."""
_BY_PATH = {"cdx23": "cdx23:CDX23", "audiosep": "by_text.tracks:AudioSepTracks"}
"""Separators whose weights are named after a colon."""


def separator_names() -> tuple[str, ...]:
    """The names that need no path."""
    return (*_STEMS, *(f"{stems}+{splitter}" for stems in _STEMS for splitter in _SPLITTERS))


def describe_names() -> str:
    """The names in words, for help and errors."""
    return ", ".join((*separator_names(), *(f"{name}:PATH" for name in _BY_PATH)))


def find_separator(name: str, tracks: Sequence[str] | None = None) -> Separator:
    """Returns the separator of that name; its weights are loaded on first use, once in a process.

    Args:
      name: see the module.
      tracks: that it must make; None: any.

    Raises:
      UserError: there is none of that name, or it makes other tracks.
    """
    check_name(name, tracks)
    return _make(name)


def check_name(name: str, tracks: Sequence[str] | None = None) -> None:
    """Raises UserError unless there is a separator of that name that makes these tracks; a path is not looked at."""
    base, _, path = name.partition(":")
    if name not in separator_names() and not (base in _BY_PATH and path):
        raise UserError(f"{name}: no such separator; use one of {describe_names()}")
    made = STEMS if name in _STEMS else TRACKS
    if tracks is not None and made != tuple(tracks):
        others = DEFAULT_SEPARATOR if made == STEMS else " or ".join(_STEMS)
        raise UserError(
            f"separator {name}: makes {', '.join(made)}; {', '.join(tracks)} are needed, as of {others}"
        )


@functools.lru_cache
def _make(name: str) -> Separator:
    base, colon, path = name.partition(":")
    if colon:
        return _imported(_BY_PATH[base])(path)
    stems, plus, splitter = name.partition("+")
    separator = _imported(_STEMS[stems])()
    return Cascade(separator, _imported(_SPLITTERS[splitter])()) if plus else separator


def _imported(reference: str) -> Any:
    module, name = reference.split(":")
    return getattr(importlib.import_module(f"mtv_jax.audio.separation.{module}"), name)
