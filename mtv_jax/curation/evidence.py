"""What a ledger says of films and their clips, by the keys that the stages have now; one film at a time."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

from mtv_jax.curation.inputs import Film
from mtv_jax.curation.ledger import ERROR, Row, State, given_up
from mtv_jax.curation.roles import UNAVAILABLE, Evidence, scores
from mtv_jax.curation.stages import LAST, Keys, Stage, failure

ClipEvidence = Mapping[str, Mapping[str, Any]]
"""Of one clip: stage -> evidence."""
Fingerprint = tuple[str, str, Mapping[str, Any]]
"""Of a clip: its id, its film, and evidence of `mtv_jax.curation.filters.duplicates.fingerprint`."""
Vectors = tuple[str, str, Mapping[str, str]]
"""Of a clip: its id, its label, and the embeddings of both (`mtv_jax.curation.filters.agreement`)."""


@dataclass(frozen=True)
class FilmEvidence:
    """What is known of a film.

    Attributes:
      film: it.
      done: the stages of films that have succeeded.
      seconds: its length, a fraction as text: of its shots, else by its header; None: not known.
      problem: the stage at which it failed, and why; None if it did not.
      cut: evidence of the stage `clips` without the shots; None before that.
      clips: id -> what is known of the clip.
    """

    film: Film
    done: Sequence[str] = ()
    seconds: str | None = None
    problem: Sequence[str] | None = None
    cut: Mapping[str, Any] | None = None
    clips: Mapping[str, ClipEvidence] = field(default_factory=dict)


@runtime_checkable
class Known(Protocol):
    """What is known of all films of a curation: `mtv_jax.curation.store`."""

    def __iter__(self) -> Iterator[FilmEvidence]:
        """The films, in order."""
        ...

    def fingerprints(self) -> Iterator[Fingerprint]:
        """Those of all clips that have one."""
        ...

    def vectors(self) -> Iterator[Vectors]:
        """Those of all clips with a label that have some."""
        ...

    @property
    def prints(self) -> str:
        """Identifies all fingerprints (`digest_of_prints`)."""
        ...


@dataclass(frozen=True)
class Evidences:
    """What the state of a ledger knows of films."""

    films: Sequence[Film]
    stages: Sequence[Stage]
    keys: Keys
    state: State
    retries: int

    def film(self, film: Film, clips: Mapping[str, ClipEvidence]) -> FilmEvidence:
        """What is known of a film, with what is known of its `clips`."""
        if not film.sha256:
            return FilmEvidence(film)
        keys = self.keys.film(film.sha256, film.about)
        rows = {name: self.state.row(film.sha256, name, key) for name, key in keys.items()}
        found = {name: row["evidence"] for name, row in rows.items() if row is not None}
        cut = found.get("clips")
        if cut is not None:
            cut = {name: value for name, value in cut.items() if name != "shots"}
        return FilmEvidence(film, tuple(found), _seconds(found), self._problem(keys, found), cut, clips)

    def rows_of_clips(self, film: Film) -> Iterator[tuple[str, dict[str, Row]]]:
        """Each clip of a film, with stage -> outcome, or the last error of a stage that is not tried again."""
        if not film.sha256 or film.problem:
            return
        film_keys = self.keys.film(film.sha256, film.about)
        if self.state.row(film.sha256, "clips", film_keys["clips"]) is None:
            return
        for clip in self.state.clips(film.sha256, "clips", film_keys["clips"]):
            keys = {**film_keys, **self.keys.clip(clip, film.about, film_keys)}
            rows = {stage.name: self._row(clip, stage.name, keys[stage.name]) for stage in self.stages}
            yield clip, {name: row for name, row in rows.items() if row is not None}

    def _row(self, clip: str, stage: str, key: str) -> Row | None:
        row, errors = self.state.row(clip, stage, key), self.state.errors(key)
        return errors[-1] if row is None and given_up(errors, self.retries) else row

    def _problem(self, keys: Mapping[str, str], found: Mapping[str, Any]) -> tuple[str, str] | None:
        optional = {stage.name for stage in self.stages if stage.optional}
        for stage, key in keys.items():
            if stage not in found and stage not in optional:
                errors = self.state.errors(key)
                return (stage, errors[-1]["reason"]) if given_up(errors, self.retries) else None
        return None


def evidence_of(rows: Mapping[str, Row], film: Film, stages: Iterable[Stage]) -> dict[str, Evidence]:
    """Stage -> evidence of a clip, from the rows of its stages and what is known of its film.

    A stage that needs one without its model is `unavailable` as well, for the same reason.
    """
    source = {name: film.about[name] for name in ("kind", "label") if film.about.get(name) is not None}
    found = {"source": scores(**source)}
    if film.about.get("people") is not None:
        found["people"] = scores(count=film.about["people"])
    for stage in stages:
        if stage.name in rows:
            found[stage.name] = _evidence(rows[stage.name], stage)
        elif stage.name not in LAST:
            missing = [found[name] for name in stage.needs if _status(found, name) == UNAVAILABLE]
            if missing:
                found[stage.name] = dict(missing[0])
    return found


def _evidence(row: Row, stage: Stage) -> Evidence:
    return row["evidence"] if row["status"] != ERROR else failure(stage, row["reason"])


def _status(found: ClipEvidence, stage: str) -> str | None:
    return found.get(stage, {}).get("status")


def _seconds(found: Mapping[str, Any]) -> str | None:
    """The length of a film: of its shots, else by its header."""
    if "shots" in found.get("clips", ()):
        shots = found["clips"]["shots"]
        return str((shots[-1]["end_pts"] - shots[0]["first_pts"]) * Fraction(*shots[-1]["time_base"]))
    if "probe" in found:
        picture = found["probe"]["picture"]
        return str((picture["end_pts"] - picture["start_pts"]) * Fraction(*picture["time_base"]))
    return None


def digest_of_prints(prints: Iterable[Fingerprint]) -> str:
    """Identifies fingerprints, whatever their order: the sum of their hashes."""
    total = 0
    for clip, film, evidence in prints:
        text = json.dumps([clip, film, evidence["sha256"], evidence["pictures"], evidence["sounds"]])
        total += int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return f"{total % 2**256:064x}"
