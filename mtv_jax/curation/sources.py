"""Lists the videos to curate: those of a folder, or of the lines of a `sources.jsonl`.

Every entry that is not taken is listed with its reason. Files are not opened here (`mtv_jax.curation.probe`).
"""

import dataclasses
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, is_hidden, read_json_object
from mtv_jax.io.json_text import decode_text, kind_of, parse_json
from mtv_jax.io.video_folders import VIDEO_SUFFIXES

Kind = Literal["talking_head", "film"]
"""`talking_head`: one person who faces the camera and speaks; all its clips are basic faces. `film`: anything else."""

UNKNOWN_LICENCE = "unknown"
Split = Literal["train", "test"]

OF_DATA_SETS = ("label", "split", "recording")
"""Fields that sources have where they are of a data set for recognition (`mtv_jax.curation.layouts`)."""
_KEYS = ("path", "id", "kind", "licence", "prompt", "url", "people", *OF_DATA_SETS)
_MOST_PEOPLE = 10_000
_MOST_ERRORS = 5
"""Lines of a manifest that one error message quotes."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A video to curate.

    Attributes:
      id: unique among the sources. By default the path relative to the folder or the manifest, so it does not change
        when other sources are added or removed.
      path: the file, as given; it may be a link.
      kind: see `Kind`.
      licence: as the user states it.
      prompt: what is seen, if it is known; clips of the source take it.
      url: where the file is from.
      people: how many are seen in it, if somebody has counted them.
      label: of the class that a data set puts it into, such as "dog barking".
      split: whether it is for training or is held out; None: `curate pack` draws.
      recording: what the file is a part of; files of one recording are never on both sides of a split. None: of itself.
    """

    id: str
    path: Path
    kind: Kind = "film"
    licence: str = UNKNOWN_LICENCE
    prompt: str | None = None
    url: str | None = None
    people: int | None = None
    label: str | None = None
    split: Split | None = None
    recording: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return dataclasses.asdict(self) | {"path": str(self.path)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Source":
        """Reads what `to_json` wrote."""
        return cls(**{**fields, "path": Path(fields["path"])})


@dataclasses.dataclass(frozen=True)
class Sources:
    """The sources, sorted by id, and the reason why each other entry is not one, by its path."""

    found: tuple[Source, ...]
    skipped: Mapping[str, str]

    @property
    def unread(self) -> bool:
        """Whether something that is not a source may be one, or hold some: a disk may be away, or a file damaged."""
        return any(
            reason not in _NO_FILMS and not reason.startswith(_OTHER_SUFFIX)
            for reason in self.skipped.values()
        )


def sources_of(place: str | os.PathLike, *, kind: Kind = "film", outside: bool = False) -> Sources:
    """Lists the sources of a folder, or of a manifest with one JSON object per line.

    A folder is searched with its subfolders. Beside a video `NAME.mp4` there may be a `NAME.json` with the keys of a
    line of a manifest but `path`. A line of a manifest has `path` (relative to the manifest's folder) and optionally
    the other fields of a `Source`.

    Args:
      place: the folder or the manifest.
      kind: of sources that do not say theirs.
      outside: whether paths of a manifest may be absolute or leave its folder, by `..` or by links.

    Raises:
      UserError: there is no such file or folder, or lines of the manifest are wrong; it names each by its number.
    """
    place = Path(place)
    if kind not in get_args(Kind):
        raise UserError(f"kind {kind}: must be one of {', '.join(get_args(Kind))}")
    return _of_folder(place, kind) if place.is_dir() else _of_manifest(existing_file(place), kind, outside)


def _of_folder(folder: Path, kind: Kind) -> Sources:
    found: list[Source] = []
    skipped: dict[str, str] = {}
    for path, reason in _entries(folder, ()):
        name = path.relative_to(folder).as_posix()
        if reason is None:
            try:
                found.append(_source({"path": name, **_description(path)}, path, kind))
                continue
            except UserError as error:
                reason = str(error)
        skipped[_printable(name)] = reason
    if divided := _divided_recordings(found):
        raise UserError(f"{folder}: {divided}")
    return Sources(_without_repeats(found), skipped)


def _entries(folder: Path, above: tuple[str, ...]) -> Iterator[tuple[Path, str | None]]:
    """All files below a folder in order, with the reason why each is not a video; folders only if not entered."""
    above = (*above, os.path.realpath(folder))
    try:
        with os.scandir(folder) as entries:
            paths = sorted(Path(entry.path) for entry in entries)
    except OSError as error:
        yield folder, f"a folder that cannot be read ({error.strerror})"
        return
    if not paths:
        yield folder, "an empty folder"
    descriptions = {path.with_suffix(".json") for path in paths if path.suffix.lower() in VIDEO_SUFFIXES}
    for path in paths:
        reason = _not_a_video(path)
        if path in descriptions:
            continue
        if reason != _FOLDER:
            yield path, reason
        elif os.path.realpath(path) in above:
            yield path, _LOOP
        else:
            yield from _entries(path, above)


_FOLDER = "a folder"
_KINDS = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
_HIDDEN, _LOOP, _NO_FILE = "hidden", "a link to a folder that contains it", "not a file"
_OTHER_SUFFIX = "not a video by its suffix"
_NO_FILMS = (_HIDDEN, _LOOP, _NO_FILE, *_KINDS.values())
"""Reasons of what cannot have been a film before, as `_OTHER_SUFFIX`."""


def _not_a_video(path: Path, *, any_suffix: bool = False) -> str | None:
    """Why a path cannot be a source; `_FOLDER` for a folder, None for a file to probe. Nothing is opened."""
    if is_hidden(path):
        return _HIDDEN
    if (unusable := _unusable(path)) is not None:
        return unusable
    if not any_suffix and path.suffix.lower() not in VIDEO_SUFFIXES:
        return f"{_OTHER_SUFFIX} ({path.suffix or 'none'})"
    return None if os.access(path, os.R_OK) else "not readable (permission denied)"


def _unusable(path: Path) -> str | None:
    """What a path is, unless it is a file."""
    try:
        str(path).encode()
        mode = os.stat(path).st_mode
    except UnicodeEncodeError:
        return "its name is not valid UTF-8; rename it"
    except FileNotFoundError:
        return f"a broken link (to {os.readlink(path)})" if path.is_symlink() else "no such file"
    except OSError as error:  # a loop of links, a folder that may not be searched
        return f"cannot be read ({error.strerror})"
    if stat.S_ISDIR(mode):
        return _FOLDER
    kinds = [name for test, name in _KINDS.items() if test(mode)]
    return None if stat.S_ISREG(mode) else kinds[0] if kinds else _NO_FILE


def _description(video: Path) -> dict[str, Any]:
    """What the JSON file beside a video of a folder says, if there is one; it may hold other keys as well."""
    path = video.with_suffix(".json")
    if not path.exists():
        return {}
    fields = read_json_object(path)
    if "path" in fields:
        raise UserError(f"{path}: its path is that of the video beside it; remove the key")
    return {key: value for key, value in fields.items() if key in _KEYS}


def _of_manifest(manifest: Path, kind: Kind, outside: bool) -> Sources:
    found: list[Source] = []
    skipped: dict[str, str] = {}
    errors: list[str] = []
    lines: dict[str, int] = {}
    text = decode_text(manifest.read_bytes(), manifest)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            source = _of_line(line, manifest, number, kind, outside)
            if (before := lines.setdefault(source.id, number)) != number:
                raise UserError(f"line {number}: the id {source.id!r} is that of line {before}; give another")
        except UserError as error:
            errors.append(str(error))
            continue
        reason = _not_a_video(source.path, any_suffix=True)
        if reason is None:
            found.append(source)
        else:
            skipped[str(source.path)] = reason
    if divided := _divided_recordings(found):
        errors.append(divided)
    if errors:
        more = f"; and {len(errors) - _MOST_ERRORS} more" if len(errors) > _MOST_ERRORS else ""
        raise UserError(f"{manifest}: {'; '.join(errors[:_MOST_ERRORS])}{more}")
    return Sources(tuple(sorted(found, key=lambda source: source.id)), skipped)


def _of_line(line: str, manifest: Path, number: int, kind: Kind, outside: bool) -> Source:
    origin = f"line {number}"
    fields = parse_json(line.encode(), origin)
    if not isinstance(fields, dict):
        raise UserError(f"{origin}: holds {kind_of(fields)}; an object is needed")
    try:
        return _source(fields, _placed(fields.get("path"), manifest.parent, outside), kind)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from error


def _placed(name: Any, folder: Path, outside: bool) -> Path:
    """The file that a manifest in `folder` names. Raises UserError for a path that leaves the folder."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise UserError(f"path {name!r}: must be the name of a file")
    path = folder / name
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    if not outside and (Path(name).is_absolute() or not inside):
        raise UserError(f"path {name!r}: leaves the folder of the manifest, which is not allowed")
    return path


def _source(fields: Mapping[str, Any], path: Path, kind: Kind) -> Source:
    """A source of the keys of a line. Raises UserError for an unknown key or a value that is not text."""
    unknown = sorted(set(fields) - set(_KEYS))
    if unknown:
        raise UserError(f"unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}")
    if "people" in fields:
        check_whole("people", fields["people"], least=0, most=_MOST_PEOPLE)
    for key, value in fields.items():
        if key != "people" and (not isinstance(value, str) or not value.strip()):
            raise UserError(f"{key} {value!r}: must be a text")
    for key, choices in (("kind", get_args(Kind)), ("split", get_args(Split))):
        if key in fields and fields[key] not in choices:
            raise UserError(f"{key} {fields[key]!r}: must be one of {', '.join(choices)}")
    return Source(
        id=fields.get("id", os.path.normpath(fields["path"])),
        path=path,
        kind=fields.get("kind", kind),
        licence=fields.get("licence", UNKNOWN_LICENCE),
        prompt=fields.get("prompt"),
        url=fields.get("url"),
        people=fields.get("people"),
        label=fields.get("label"),
        split=fields.get("split"),
        recording=fields.get("recording"),
    )


def _divided_recordings(sources: list[Source]) -> str | None:
    """What is wrong if files of one recording are in both splits."""
    splits: dict[str, Source] = {}
    for source in sources:
        if source.recording is not None and source.split is not None:
            other = splits.setdefault(source.recording, source)
            if other.split != source.split:
                return (
                    f"{other.id!r} and {source.id!r} are of one recording ({source.recording}), and in both splits; "
                    "put both into one"
                )
    return None


def _without_repeats(sources: list[Source]) -> tuple[Source, ...]:
    """The sources by id. Raises UserError if two have the same."""
    by_id: dict[str, Source] = {}
    for source in sources:
        other = by_id.setdefault(source.id, source)
        if other is not source:
            raise UserError(f"{source.path}: the id {source.id!r} is that of {other.path}; give another")
    return tuple(by_id[name] for name in sorted(by_id))


def _printable(name: str) -> str:
    """A name in which bytes that are not UTF-8 are escaped."""
    return name.encode(errors="backslashreplace").decode()
