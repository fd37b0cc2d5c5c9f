"""Which files in the folder of a clip are those of which outcome.

A worker may be killed after it has written files and before the ledger has the row of their stage. With other settings
they would then be taken for those of an older row. So `made.json` beside them has the key with which each stage made
its files: a stage takes its key out before it writes the first file, and puts it back after the last one.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mtv_jax.curation.stages import Stage
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json_object, write_json

MADE = "made.json"


class Made:
    """The keys of files; each `made.json` is read once, so there may be one writer of a folder at a time."""

    def __init__(self):
        self._known: dict[Path, dict[str, str]] = {}

    def has(self, folder: Path, stage: Stage, key: str) -> bool:
        """Whether all files of a stage are in the folder of a clip, and were made with this key."""
        if not stage.files:
            return True
        return self._keys(folder).get(stage.name) == key and _exist(folder, stage.files)

    def begin(self, folders: Iterable[Path], stage: Stage) -> None:
        """Forgets the files of a stage in some folders of clips, which it is about to write."""
        for folder in folders:
            keys = self._keys(folder)
            if keys.pop(stage.name, None) is not None:
                _write(folder, keys)

    def end(self, folders: Iterable[Path], stage: Stage, key: str) -> None:
        """Notes that the files of a stage are those of this key."""
        for folder in folders:
            keys = self._keys(folder)
            keys[stage.name] = key
            _write(folder, keys)

    def _keys(self, folder: Path) -> dict[str, str]:
        if folder not in self._known:
            try:
                self._known[folder] = read_json_object(folder / MADE)
            except UserError:  # missing or damaged: the files are made again
                self._known[folder] = {}
        return self._known[folder]


def _exist(folder: Path, names: Sequence[str]) -> bool:
    return all((folder / name).exists() for name in names)


def _write(folder: Path, keys: dict[str, str]) -> None:
    write_json(folder / MADE, dict(sorted(keys.items())))
