"""Removes files of a curation that nothing needs any more."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mtv_jax.curation.decide import may_pass
from mtv_jax.curation.inputs import Film
from mtv_jax.curation.made import MADE
from mtv_jax.curation.settings import Layout
from mtv_jax.curation.stages import CLIP, MIX
from mtv_jax.curation.verdicts import Verdicts

_STAY = (CLIP, MIX, MADE)
"""Of rejected clips, to be seen in the report."""


def delete_stems(layout: Layout, verdicts: Verdicts) -> None:
    """Removes what only kept clips need of rejected ones.

    A clip is not rejected for good if nothing but a stage failed, which `--retry-failed` tries again.
    """
    for clip in verdicts.clips:
        if not may_pass(clip["failures"]):
            for path in layout.clip(clip).glob("*"):
                if path.name not in _STAY:
                    _remove(path)


def delete_old_clips(layout: Layout, films: Sequence[Film], verdicts: Verdicts, *, unread: bool) -> None:
    """Removes the folders of clips that no film has any more, and what killed workers left; says so on stderr.

    Clips get other ids if cuts, windows or the film's file change; without its source, a film has none. While something
    cannot be read, perhaps because a disk is not there, nothing of films that are missing is removed: `unread` sources
    (`Sources.unread`), films without a hash, or no film at all.
    """
    planned: dict[str, set[str]] = {film.sha256: set() for film in films if film.sha256}
    for clip in verdicts.clips:
        planned[clip["film"]].add(clip["clip"])
    unread = unread or not films or any(not film.sha256 for film in films)
    old = [
        path
        for film in layout.all_films()
        if film.name in planned or not unread
        for path in _children(film)
        if path.name not in planned.get(film.name, ())
    ]
    clips = sum(1 for path in old if not path.name.startswith("."))
    size = sum(file.stat().st_size for path in old for file in _files(path))
    for path in old:
        _remove(path)
    if clips:
        number = "1 clip" if clips == 1 else f"{clips} clips"
        print(
            f"removed the files of {number} that no film has any more ({size / 2**20:.1f} MiB)",
            file=sys.stderr,
        )


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _files(path: Path) -> Iterator[Path]:
    yield from (file for file in (path, *path.rglob("*")) if file.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
