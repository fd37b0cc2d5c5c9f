"""The videos to measure: the lines of a JSONL manifest, or files and folders.

A line is an object:

    {"id": "0001", "video": "videos/0001.mp4", "prompt": "...", "audio": "sounds/0001.wav",
     "reference": "real/0001.mp4", "speech": "...", "effects": "...", "music": "...", "seed": 0}

Only `video` is required; `id` is then its name, and `audio` its own sound. Paths are relative to the manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file
from mtv_jax.io.json_text import decode_text, kind_of, parse_json
from mtv_jax.io.video_folders import videos_in
from mtv_jax.names import TRACKS

_PATHS = ("video", "audio", "reference", *TRACKS)
_KEYS = ("id", "prompt", "seed", *_PATHS)


@dataclass(frozen=True)
class Item:
    """A video to measure.

    Attributes:
      id: unique in its manifest.
      video: its file.
      prompt: what it was generated from; "" if that is not known.
      audio: the sound that it was generated for; None: its own.
      reference: a real video for the same prompt or sound.
      tracks: files of separate tracks, by name.
    """

    id: str
    video: Path
    prompt: str = ""
    audio: Path | None = None
    reference: Path | None = None
    tracks: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The videos of a manifest, in its order, and what is wrong with its other lines, by id or line."""

    items: tuple[Item, ...]
    problems: Mapping[str, str] = field(default_factory=dict)


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest. A line that cannot be used is a problem; the others are read all the same.

    Raises UserError if there is no such file, it is not UTF-8 text, or no line of it can be used.
    """
    items: dict[str, Item] = {}
    problems: dict[str, str] = {}
    text = decode_text(existing_file(path).read_bytes(), path)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name = f"line {number}"
        try:
            item = _item(parse_json(line.encode(), name), path.parent)
            if item.id in items:
                raise UserError(f"the id {item.id!r} is there twice; give another")
            items[item.id] = item
        except UserError as error:
            problems[name] = str(error).removeprefix(f"{name}: ")
    if not items:
        first = next((f"; {name}: {reason}" for name, reason in problems.items()), "")
        raise UserError(f"{path}: no video in it{first}")
    return Manifest(tuple(items.values()), problems)


def items_of(paths: Sequence[Path], manifest: Path | None = None) -> Manifest:
    """The videos at `paths`: files, folders of videos, or manifests (`.jsonl`); and those of a manifest of any name.

    Raises UserError for a path that does not exist, and like `read_manifest`.
    """
    items: dict[str, Item] = {}
    problems: dict[str, str] = {}
    listed = [(path, _found(path)) for path in paths]
    if manifest is not None:
        listed.append((manifest, read_manifest(manifest)))
    for path, found in listed:
        problems |= {f"{path}: {name}": reason for name, reason in found.problems.items()}
        for item in found.items:
            if item.id in items:
                other = items[item.id].video
                problems[str(item.video)] = f"the id {item.id!r} is that of {other}; use a manifest with ids"
            else:
                items[item.id] = item
    return Manifest(tuple(items.values()), problems)


def _found(path: Path) -> Manifest:
    if path.suffix.lower() == ".jsonl":
        return read_manifest(path)
    files = videos_in(path)[0] if path.is_dir() else [existing_file(path)]
    return Manifest(tuple(Item(file.name, file) for file in files))


def _item(values: Any, folder: Path) -> Item:
    if not isinstance(values, dict):
        raise UserError(f"holds {kind_of(values)}; an object is needed")
    if unknown := sorted(set(values) - set(_KEYS)):
        raise UserError(f"unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}")
    if "video" not in values:
        raise UserError("has no 'video', the path of the file to measure")
    for key, value in values.items():
        _check(key, value)
    paths = {key: folder / values[key] for key in _PATHS if values.get(key) is not None}
    return Item(
        id=values.get("id", str(values["video"])),
        video=paths["video"],
        prompt=values.get("prompt") or "",
        audio=paths.get("audio"),
        reference=paths.get("reference"),
        tracks={name: paths[name] for name in TRACKS if name in paths},
    )


def _check(key: str, value: Any) -> None:
    if key == "seed":
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise UserError(f"seed {value!r}: must be a whole number")
    elif value is None and key not in ("id", "video"):
        return
    elif not isinstance(value, str) or "\0" in value or (key != "prompt" and not value.strip()):
        raise UserError(f"{key} {value!r}: must be a text")
