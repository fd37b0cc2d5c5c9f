"""The films of a curation: its sources, with the SHA-256 of their files."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mtv_jax.curation.jobs import FILE
from mtv_jax.curation.ledger import State, given_up
from mtv_jax.curation.sources import Source
from mtv_jax.io.files import read_json, write_json


@dataclass(frozen=True)
class Film:
    """A source.

    Attributes:
      source: its id.
      path: its file.
      about: the rest of what is known of it: `kind`, `licence`, `prompt`, ...
      sha256: of the file; "" if it could not be read.
      problem: why it cannot be used, if it cannot.
    """

    source: str
    path: str
    about: Mapping[str, Any]
    sha256: str = ""
    problem: str | None = None


def file_key(path: Path) -> str:
    """What tells whether a file has changed since it was hashed: its place, size and modification time."""
    try:
        found = path.stat()
    except OSError as error:
        return f"{os.fspath(path)}: {error.strerror}"
    return f"{os.fspath(path)}: {found.st_size} {found.st_mtime_ns}"


def known_films(sources: Sequence[Source], state: State, retries: int) -> list[Film]:
    """The films of sources whose files are hashed, or could not be. Of equal files, the first is used."""
    films: list[Film] = []
    first: dict[str, str] = {}
    for source in sources:
        about = {k: v for k, v in source.to_json().items() if k not in ("id", "path") and v is not None}
        film = Film(source.id, str(source.path), about)
        key = file_key(source.path)
        row, errors = state.row(source.id, FILE, key), state.errors(key)
        if row is not None:
            digest = row["evidence"]["sha256"]
            same = first.setdefault(digest, source.id)
            problem = None if same == source.id else f"the same file as {same}"
            films.append(Film(source.id, film.path, about, digest, problem))
        elif given_up(errors, retries):
            films.append(Film(source.id, film.path, about, problem=errors[-1]["reason"]))
    return films


def write_films(path: Path, films: Sequence[Film]) -> None:
    """Writes films for the commands that do not look at their files."""
    write_json(path, [asdict(film) for film in films])


def read_films(path: Path) -> list[Film]:
    """Reads what `write_films` wrote. Raises UserError if there is none."""
    return [Film(**fields) for fields in read_json(path)]
