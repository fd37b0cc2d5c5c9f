"""Selects the weight files of a folder: one, shards, or an index; of several variants the one without a name.

diffusers and transformers put a variant's name into the file's: `model.fp16.safetensors`,
`model.fp16-00001-of-00002.safetensors` (before: `model-00001-of-00002.fp16.safetensors`), and the index
`model.safetensors.index.fp16.json`. By default they load the files without a variant (diffusers#8968).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json_object, visible

_NAME = re.compile(
    r"(?P<stem>.+?)(?:\.(?P<variant>[a-zA-Z]\w*))?(?:-(?P<number>\d{5})-of-(?P<count>\d{5}))?"
    r"(?:\.(?P<later>[a-zA-Z]\w*))?"
)


@dataclass(frozen=True)
class _Set:
    """The files of one checkpoint: an index alone, a file, or shards of which there should be `count`."""

    stem: str
    variant: str | None
    files: tuple[Path, ...]
    count: int = 1


def choose_weights(directory: Path, suffix: str) -> list[Path]:
    """The weights of a folder in files of `suffix`: an index (`.json`) alone, a file, or all shards; [] if none.

    Hidden files are ignored. Raises UserError, naming them, for several checkpoints that are not variants of one
    another, and for missing shards.
    """
    sets = _sets(directory, suffix)
    plain = {found.stem for found in sets if found.variant is None}
    chosen = [found for found in sets if found.variant is None or found.stem not in plain]
    if len(chosen) > 1:
        names = ", ".join(sorted(file.name for found in chosen for file in found.files))
        raise UserError(f"{directory}: which of {names}? Keep one of them, or shards of one checkpoint")
    for found in chosen:
        if len(found.files) != found.count:
            raise UserError(f"{directory}: {len(found.files)} of {found.count:05} {suffix} files are there")
    return list(chosen[0].files) if chosen else []


def weight_map(index: Path) -> dict[str, str]:
    """The weight map of an index: tensor -> file beside it. Raises UserError for an invalid index."""
    listed = read_json_object(index).get("weight_map")
    if not isinstance(listed, dict):
        raise UserError(f"{index}: no weight_map in it")
    for key, name in listed.items():
        if not isinstance(name, str) or not re.fullmatch(r"[^./\\\0][^/\\\0]{0,199}", name):
            raise UserError(
                f"{index}: weight_map of {key[:80]}: {name!r} is not the name of a file beside it"
            )
    return listed


def _sets(directory: Path, suffix: str) -> list[_Set]:
    """The indices, and the files that none of them lists."""
    form = re.compile(rf"(.+)\.{suffix}\.index(?:\.(\w+))?\.json")
    there = visible(directory)
    sets, listed = [], set()
    for file in there:
        if match := form.fullmatch(file.name):
            stem, variant, _ = _parts(match[1])
            sets.append(_Set(stem, match[2] or variant, (file,)))
            listed |= set(weight_map(file).values())
    groups: dict[tuple[str, str | None, int], list[Path]] = {}
    for file in there:
        if file.name.endswith(f".{suffix}") and file.name not in listed:
            groups.setdefault(_parts(file.name.removesuffix(f".{suffix}")), []).append(file)
    indexed = {(found.stem, found.variant) for found in sets}
    rest = [_Set(*key[:2], tuple(files), key[2]) for key, files in groups.items() if key[:2] not in indexed]
    return sets + rest


def _parts(name: str) -> tuple[str, str | None, int]:
    """Stem, variant, and number of shards."""
    match = _NAME.fullmatch(name)
    if match is None:  # a line break in it
        return name, None, 1
    return match["stem"], match["variant"] or match["later"], int(match["count"] or 1)
