"""What commands read of a large ledger: a record for each film and clip, with what verdicts and reports need of it.

`work/evidence.msgpack` is made from the ledger a film at a time whenever that has grown, so that memory depends on the
longest film and not on their number; it may be deleted. A clip's record says where its rows are in the ledger, which
has all of their evidence (`Store.rows`).
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack

from mtv_jax.curation.costs import Costs
from mtv_jax.curation.evidence import (
    Evidences,
    FilmEvidence,
    Fingerprint,
    Vectors,
    digest_of_prints,
    evidence_of,
)
from mtv_jax.curation.inputs import Film
from mtv_jax.curation.ledger import OK, RETRY, Ledger, Row, State, read_row
from mtv_jax.curation.settings import Layout, Settings
from mtv_jax.curation.stages import Keys, Stage
from mtv_jax.io.files import atomic_path
from mtv_jax.io.progress import progress

_VERSION = 3
_HEAD = 1 << 14
"""Bytes of what comes before the records, a line of JSON, which is written last."""
_BLOCK = 1 << 14
_LONGEST = 4
"""Numbers in a list that is kept; longer ones are series, which no verdict reads."""
_TEXT = 200
"""Characters of a longer text that are kept, but for fingerprints."""
_NONE = Film("", "", {})


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
        films, found = iter(self._films), FilmEvidence(_NONE)
        for fields, rest in self._records():
            if isinstance(fields, str):
                found.clips[fields] = rest[0]  # pyright: ignore[reportIndexIssue] - a dict, made here
            else:
                if found.film is not _NONE:
                    yield found
                found = FilmEvidence(next(films), **fields, clips={})
        if found.film is not _NONE:
            yield found

    def fingerprints(self) -> Iterator[Fingerprint]:
        """See `Known`."""
        films, film = iter(self._films), _NONE
        for fields, rest in self._records():
            if not isinstance(fields, str):
                film = next(films)
            elif found := msgpack.unpackb(rest[1])["fingerprint"]:
                yield fields, film.sha256, found

    def vectors(self) -> Iterator[Vectors]:
        """See `Known`."""
        for fields, rest in self._records():
            if isinstance(fields, str) and (found := msgpack.unpackb(rest[1])["vectors"]):
                yield fields, *found

    def rows(self, clip: str) -> dict[str, Row]:
        """Stage -> outcome, with all of its evidence, of a clip."""
        with open(self._path, "rb") as file:
            file.seek(self._places[bytes.fromhex(clip)])
            _, (_, packed) = next(msgpack.Unpacker(file, read_size=_BLOCK))
        places = msgpack.unpackb(packed)["rows"]
        with open(self._ledger, "rb") as file:
            return {stage: read_row(file, place) for stage, place in places.items()}

    def _records(self) -> Iterator[tuple[Any, Any]]:
        with open(self._path, "rb") as file:
            file.seek(_HEAD)
            yield from msgpack.Unpacker(file, read_size=1 << 20, max_buffer_size=0)

    @functools.cached_property
    def _places(self) -> dict[bytes, int]:
        """Where the record of each clip is."""
        found = {}
        with open(self._path, "rb") as file:
            file.seek(_HEAD)
            unpacker = msgpack.Unpacker(file, read_size=1 << 20, max_buffer_size=0)
            place = _HEAD
            for fields, _ in unpacker:
                if isinstance(fields, str):
                    found[bytes.fromhex(fields)] = place
                place = _HEAD + unpacker.tell()
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
    """What comes before the records of a store, empty if there is none."""
    if not path.exists():
        return {}
    with open(path, "rb") as file:
        return json.loads(file.read(_HEAD))


def _write(path: Path, identity: str, ledger: Path, known: Evidences) -> None:
    """Makes a store from the ledger; the state of `known` is not used."""
    prints, costs, found = 0, Costs(), Ledger(ledger)
    for row in found.others:
        costs.add(row)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(b" " * _HEAD)
        for film in progress(known.films, f"reading {ledger.name}"):
            # The rows of a copy are those of the film that it repeats.
            counted = Costs() if film.problem else costs
            state = State(_counted(found.rows(film.sha256), counted))
            records, digest = _of_film(replace(known, state=state), film)
            prints += int(digest, 16)
            file.writelines(_packed(record) for record in records)
        head = {"identity": identity, "prints": f"{prints % 2**256:064x}", "costs": costs.to_json()}
        file.seek(0)
        file.write(json.dumps(head).encode().ljust(_HEAD - 1) + b"\n")


def _counted(rows: Iterable[Row], costs: Costs) -> Iterator[Row]:
    """The rows, of which those of stages are added to `costs`."""
    for row in rows:
        if row["stage"] != RETRY:
            costs.add(row)
        yield row


def _of_film(known: Evidences, film: Film) -> tuple[list[Any], str]:
    """The records of a film and its clips, and the digest of their fingerprints.

    That of a film has what `FilmEvidence` has. That of a clip: its id, its evidence, and, packed by itself since it is
    seldom read, its fingerprint, the embeddings of its sound and label, and where its rows are.
    """
    clips, records, prints = {}, [], []
    for clip, rows in known.rows_of_clips(film):
        clips[clip] = evidence_of(rows, film, known.stages)
        found = dict(clips[clip])
        fingerprint = found.pop("fingerprint", {})
        if fingerprint.get("status") == OK:
            prints.append((clip, film.sha256, fingerprint))
        rest: dict[str, Any] = {"rows": {stage: row["place"] for stage, row in rows.items()}}
        rest["fingerprint"] = fingerprint if fingerprint.get("status") == OK else None
        rest["vectors"], found = _without_vectors(found)
        records.append([clip, [_short(found), _packed(rest)]])
    found = known.film(film, clips)
    fields = {"done": found.done, "seconds": found.seconds, "problem": found.problem, "cut": found.cut}
    return [[fields, None], *records], digest_of_prints(prints)


def _without_vectors(evidence: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The label and the embeddings of a clip, if it has them, and the evidence without the embeddings."""
    agreement = dict(evidence.get("agreement", {}))
    vectors = agreement.pop("vectors", None)
    if vectors is None:
        return None, evidence
    labelled = None if agreement["label"] is None else (agreement["label"], vectors)
    return labelled, {**evidence, "agreement": agreement}


def _packed(value: Any) -> bytes:
    return msgpack.packb(value) or b""  # its stub says that it may return None


def _short(value: Any) -> Any:
    """Evidence without long lists and lists of other values than numbers and texts. Long texts are cut off."""
    if isinstance(value, Mapping):
        kept = {key: _short(part) for key, part in value.items()}
        return {key: part for key, part in kept.items() if part is not _short}
    if isinstance(value, list):
        simple = all(isinstance(part, (int, float, str)) for part in value)
        return value if simple and len(value) <= _LONGEST else _short
    return f"{value[:_TEXT]}..." if isinstance(value, str) and len(value) > _TEXT else value
