"""Result folders of several systems, matched by id."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtv_jax.evaluation.study.options import System
from mtv_jax.evaluation.videos.manifest import Item, read_manifest
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory
from mtv_jax.io.video_folders import videos_in

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Candidate:
    """A clip that all systems have.

    Attributes:
      sound: of the clip, for videos without a sound of their own; None if no manifest names one.
    """

    id: str
    text: str
    videos: Mapping[str, Path]
    sound: Path | None


def candidates(systems: Sequence[System]) -> tuple[list[Candidate], dict[str, str]]:
    """The clips that can be shown, sorted by id, and what is wrong with others, by where it is.

    Raises UserError for two systems of one name, a folder without videos, and if no clip is in all folders.
    """
    found: dict[str, dict[str, Item]] = {}
    problems: dict[str, str] = {}
    for system in systems:
        if system.name in found:
            raise UserError(f"{system.folder}: a second system {system.name!r}; give NAME={system.folder}")
        found[system.name], wrong = _items(system.folder)
        problems |= {f"{system.folder}: {place}": reason for place, reason in wrong.items()}
    clips = []
    for name in sorted(set().union(*found.values())):
        items = {system: items[name] for system, items in found.items() if name in items}
        if missing := [system for system in found if system not in items]:
            problems[name] = f"no video of {', '.join(missing)}"
        elif len(texts := {item.prompt for item in items.values() if item.prompt}) > 1:
            problems[name] = "the prompts of its systems differ"
        else:
            videos = {system: item.video for system, item in items.items()}
            clips.append(Candidate(name, next(iter(texts), ""), videos, next(_sounds(items), None)))
    if not clips:
        first = next((f"; {place}: {reason}" for place, reason in problems.items()), "")
        raise UserError(f"no clip can be shown{first}; videos are matched by id, or by name without suffix")
    return clips, problems


def _sounds(items: Mapping[str, Item]) -> Iterator[Path]:
    return (item.audio for item in items.values() if item.audio is not None)


def _items(folder: Path) -> tuple[dict[str, Item], dict[str, str]]:
    manifest = existing_directory(folder) / MANIFEST
    if manifest.exists():
        read = read_manifest(manifest)
        return {item.id: item for item in read.items}, dict(read.problems)
    items: dict[str, Item] = {}
    problems: dict[str, str] = {}
    for path in videos_in(folder)[0]:
        if path.stem in items:
            problems[path.name] = f"the id {path.stem!r} is that of {items[path.stem].video.name}"
        else:
            items[path.stem] = Item(path.stem, path)
    return items, problems
