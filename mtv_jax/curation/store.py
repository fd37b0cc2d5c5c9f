"""What commands read of a large ledger: a line for each film and clip, with what verdicts and reports need of it.

`work/evidence.jsonl` is made from the ledger a film at a time whenever that has grown, so that memory depends on the
longest film and not on their number; it may be deleted. A clip's line says where its rows are in the ledger, which has
all of their evidence (`Store.rows`).
"""

import functools
import hashlib
import io
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from mtv_jax.curation.costs import Costs
from mtv_jax.curation.evidence import Evidences, FilmEvidence, digest_of_prints, evidence_of, prints_of
from mtv_jax.curation.inputs import Film
from mtv_jax.curation.ledger import RETRY, Row, State
from mtv_jax.curation.settings import Layout, Settings
from mtv_jax.curation.stages import Keys, Stage
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path
from mtv_jax.io.progress import progress

_VERSION = 1
_HEAD = 1 << 14
"""Bytes of the first line, which is written last."""
_LONGEST = 4
"""Numbers in a list that is kept; longer ones are series, which no verdict reads."""
_TEXT = 200
"""Characters of a text that is kept, but for fingerprints."""
_ROW = re.compile(rb'\{"item": "[^"\\]*", "film": "([0-9a-f]+)", "stage": "')


class Store:
    """The evidence of a curation, as `mtv_jax.curation.evidence.Known`, read from disk each time.

    Raises UserError, when it is made, for a damaged ledger.
    """

    def __init__(
        self, layout: Layout, settings: Settings, films: Sequence[Film], stages: Sequence[Stage], cards: Any
    ):
        self._ledger, self._path = layout.ledger, layout.evidence
        self._films, self._stages = films, stages
        identity = _identity(layout, settings, stages, cards)
        if _head(self._path).get("identity") != identity:
            retries = settings.config.retries
            made = Evidences(films, stages, Keys(stages, cards), State(), retries)
            _write(self._path, identity, self._ledger, made)
        head = _head(self._path)
        self.prints: str = head["prints"]
        """Identifies all fingerprints of clips."""
        self.costs: list[dict[str, Any]] = head["costs"]
        """Of the stages (`mtv_jax.curation.costs`)."""

    def __iter__(self) -> Iterator[FilmEvidence]:
        films, found = iter(self._films), None
        with open(self._path, "rb") as file:
            file.seek(_HEAD)
            for line in file:
                fields = json.loads(line)
                if "clip" in fields:
                    found.clips[fields["clip"]] = fields["evidence"]  # type: ignore[union-attr, index]
                else:
                    if found is not None:
                        yield found
                    found = FilmEvidence(next(films), **fields, clips={})
        if found is not None:
            yield found

    def rows(self, clip: str) -> dict[str, Row]:
        """Stage -> outcome, with all of its evidence, of a clip."""
        with open(self._path, "rb") as file:
            file.seek(self._places[bytes.fromhex(clip)])
            places = json.loads(file.readline())["rows"]
        with open(self._ledger, "rb") as file:
            return {stage: _read_row(file, place) for stage, place in places.items()}

    @functools.cached_property
    def _places(self) -> dict[bytes, int]:
        """Where the line of each clip is."""
        found, mark = {}, b'{"clip":"'
        with open(self._path, "rb") as file:
            place = file.seek(_HEAD)
            for line in file:
                if line.startswith(mark):
                    clip = line[len(mark) : line.index(b'"', len(mark))]
                    found[bytes.fromhex(clip.decode())] = place
                place += len(line)
        return found


def _identity(layout: Layout, settings: Settings, stages: Sequence[Stage], cards: Any) -> str:
    """What the store depends on."""
    ledger = layout.ledger.stat() if layout.ledger.exists() else None
    state = [ledger.st_size, ledger.st_mtime_ns] if ledger else None
    made_by = [[stage.name, stage.version, stage.params, cards[stage.name]] for stage in stages]
    films = hashlib.sha256(layout.films.read_bytes()).hexdigest()
    text = json.dumps([_VERSION, state, made_by, films, settings.config.retries], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _head(path: Path) -> dict[str, Any]:
    """The first line of a store, empty if there is none."""
    if not path.exists():
        return {}
    with open(path, "rb") as file:
        return json.loads(file.read(_HEAD))


def _write(path: Path, identity: str, ledger: Path, known: Evidences) -> None:
    """Makes a store from the ledger; the state of `known` is not used."""
    prints, costs = 0, Costs()
    places = _places_of_films(ledger, costs)
    with atomic_path(path) as temporary, open(temporary, "wb") as file, _opened(ledger) as rows:
        file.write(b" " * _HEAD)
        for film in progress(known.films, f"reading {ledger.name}"):
            state = State(_rows_of(rows, places.get(film.sha256, ()), costs))
            lines, found = _lines(replace(known, state=state), film)
            prints += int(digest_of_prints(prints_of([found])), 16)
            file.writelines(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
        head = {"identity": identity, "prints": f"{prints % 2**256:064x}", "costs": costs.to_json()}
        file.seek(0)
        file.write(json.dumps(head).encode().ljust(_HEAD - 1) + b"\n")


def _lines(known: Evidences, film: Film) -> tuple[list[Mapping[str, Any]], FilmEvidence]:
    """The lines of a film and its clips."""
    clips, lines = {}, []
    for clip, rows in known.rows_of_clips(film):
        clips[clip] = evidence_of(rows, film, known.stages)
        evidence = {
            stage: found if stage == "fingerprint" else _short(found) for stage, found in clips[clip].items()
        }
        places = {stage: row["place"] for stage, row in rows.items()}
        lines.append({"clip": clip, "evidence": evidence, "rows": places})
    found = known.film(film, clips)
    fields = {"done": found.done, "seconds": found.seconds, "problem": found.problem, "cut": found.cut}
    return [fields, *lines], found


def _short(value: Any) -> Any:
    """Evidence without long lists, lists of other values than numbers and texts, and long texts."""
    if isinstance(value, Mapping):
        kept = {key: _short(part) for key, part in value.items()}
        return {key: part for key, part in kept.items() if part is not _short}
    if isinstance(value, list):
        simple = all(isinstance(part, (int, float, str)) for part in value)
        return value if simple and len(value) <= _LONGEST else _short
    return _short if isinstance(value, str) and len(value) > _TEXT else value


def _places_of_films(ledger: Path, costs: Costs) -> dict[str, array]:
    """Where the rows of each film are in a ledger. Adds to `costs` what is of no film: their hashes.

    A row that lets stages be tried again is one of each film.
    """
    places: dict[str, array] = {}
    retried = array("q")
    place = 0
    with _opened(ledger) as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            found = _ROW.match(line)
            film = found[1].decode() if found else ""
            if film:
                places.setdefault(film, array("q", retried)).append(place)
            else:
                row = _parsed(line, f"{ledger}: line {number}")
                costs.add(row)
                if row["stage"] == RETRY:
                    retried.append(place)
                    for rows in places.values():
                        rows.append(place)
            place += len(line)
    return places


def _rows_of(file: IO[bytes], places: Iterable[int], costs: Costs) -> Iterator[Row]:
    for place in places:
        row = _read_row(file, place)
        if row["stage"] != RETRY:
            costs.add(row)
        yield row


def _opened(ledger: Path) -> IO[bytes]:
    """A ledger, empty if there is none yet."""
    return open(ledger, "rb") if ledger.exists() else io.BytesIO()


def _read_row(file: IO[bytes], place: int) -> dict[str, Any]:
    file.seek(place)
    return _parsed(file.readline(), f"{file.name}: byte {place}") | {"place": place}


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError as error:
        raise UserError(f"{where} is damaged ({error}); restore the file") from error
