"""The verdicts of a curation: what its ledger says of each film and each clip, judged by its config.

`work/verdicts.jsonl` has a row for every film and every clip, kept or not. No model runs here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.curation.config import CurateConfig
from mtv_jax.curation.decide import decide, people_count, unjudged
from mtv_jax.curation.filters.duplicates import find_duplicates
from mtv_jax.curation.inputs import Film
from mtv_jax.curation.ledger import State, given_up
from mtv_jax.curation.roles import Evidence, scores
from mtv_jax.curation.stages import LAST, Keys, Stage, failure
from mtv_jax.io.files import read_text, write_text

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Verdicts:
    """Rows of JSON.

    Films: `source`, `film` (SHA-256), `kind`, `licence`, `url`, `seconds` (a fraction; None: not known), `clips`, the
    `reason` of a failure, and, if it came before there were clips, `rejected` (in short); `unused` has the seconds that
    no clip has, by reason.

    Clips: `clip`, `source`, `film`, `start`, `end` (fractions of seconds), `keep`, `failures`, `subsets`;
    the numbers of `people` seen and of `speakers` heard (None: not known); `unjudged`, the stages without their models.
    """

    films: Rows
    clips: Rows

    @property
    def kept(self) -> Rows:
        """The clips that are kept."""
        return [clip for clip in self.clips if clip["keep"]]

    @property
    def left_out(self) -> dict[str, str]:
        """Source -> reason, of those that no kept clip is of."""
        kept = {clip["source"] for clip in self.kept}
        failures: dict[str, list[str]] = {}
        for clip in self.clips:
            failures.setdefault(clip["source"], []).extend(clip["failures"])
        return {
            film["source"]: film["reason"] or _all_failures(failures.get(film["source"], []))
            for film in self.films
            if film["source"] not in kept
        }

    def write(self, path: Path) -> None:
        """Writes all rows."""
        write_text(
            path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in (*self.films, *self.clips))
        )


def read_verdicts(path: Path) -> Verdicts:
    """Reads what `Verdicts.write` wrote. Raises UserError if it is missing."""
    rows = [json.loads(line) for line in read_text(path).splitlines()]
    return Verdicts([row for row in rows if "clip" not in row], [row for row in rows if "clip" in row])


def _all_failures(failures: list[str]) -> str:
    if not failures:
        return "no shot is as long as a clip"
    return f"all clips rejected: {', '.join(dict.fromkeys(failures))}"


class Evidences:
    """What the ledger knows of films and clips, by the keys that the stages have now."""

    def __init__(
        self, films: Iterable[Film], stages: Iterable[Stage], keys: Keys, state: State, retries: int
    ):
        self.films, self._stages = list(films), list(stages)
        self._keys, self._state, self._retries = keys, state, retries
        self.found: dict[str, dict[str, Evidence]] = {}
        """Clip -> stage -> evidence."""
        self.film_of: dict[str, Film] = {}
        for film in self.films:
            if film.sha256 and not film.problem:
                self._add_clips(film)

    def film(self, film: Film, stage: str) -> Evidence | None:
        """What a stage of films says of one."""
        keys = self._keys.film(film.sha256, film.about)
        row = self._state.row(film.sha256, stage, keys[stage])
        return None if row is None else row["evidence"]

    def problem(self, film: Film) -> tuple[str, str] | None:
        """The stage at which a film failed, and why."""
        optional = {stage.name for stage in self._stages if stage.optional}
        for stage, key in self._keys.film(film.sha256, film.about).items():
            if stage not in optional and self._state.row(film.sha256, stage, key) is None:
                errors = self._state.errors(key)
                return (stage, errors[-1]["reason"]) if given_up(errors, self._retries) else None
        return None

    def _add_clips(self, film: Film) -> None:
        film_keys = self._keys.film(film.sha256, film.about)
        if self._state.row(film.sha256, "clips", film_keys["clips"]) is None:
            return
        about = scores(kind=film.about["kind"])
        people = film.about.get("people")
        for clip in self._state.clips(film.sha256, "clips", film_keys["clips"]):
            evidence = {"source": about, **({} if people is None else {"people": scores(count=people)})}
            keys = {**film_keys, **self._keys.clip(clip, film.about, film_keys)}
            for stage in self._stages:
                evidence.update(self._of_stage(clip, stage, keys[stage.name]))
            self.found[clip], self.film_of[clip] = evidence, film

    def _of_stage(self, clip: str, stage: Stage, key: str) -> Iterator[tuple[str, Evidence]]:
        row, errors = self._state.row(clip, stage.name, key), self._state.errors(key)
        if row is not None:
            yield stage.name, row["evidence"]
        elif given_up(errors, self._retries):
            yield stage.name, failure(stage, errors[-1]["reason"])


def judge(evidences: Evidences, config: CurateConfig) -> Verdicts:
    """The verdicts on all films and clips."""
    found = with_duplicates(evidences, config)
    clips: Rows = []
    for clip, evidence in found.items():
        film, verdict = evidences.film_of[clip], decide(evidence, config)
        span = evidence["clips"]["span"]
        start = Fraction(*span["start"])
        end = start + span["num_frames"] / Fraction(*span["fps"])
        clips.append(
            {
                "clip": clip,
                "source": film.source,
                "film": film.sha256,
                "start": str(start),
                "end": str(end),
                "keep": verdict.keep,
                "failures": list(verdict.failures),
                "subsets": list(verdict.subsets),
                "people": people_count(evidence),
                "speakers": evidence.get("speakers", {}).get("speakers"),
                "unjudged": list(unjudged(evidence)),
            }
        )
    return Verdicts([_film_row(film, evidences) for film in evidences.films], clips)


def with_duplicates(evidences: Evidences, config: CurateConfig) -> Mapping[str, Mapping[str, Evidence]]:
    """The evidence of each clip, with that of the clip that it repeats.

    Clips that are rejected for another reason are not compared: one of them must not stand for a clip that is not.
    """
    if not config.duplicates.on:
        return evidences.found
    prints = {
        clip: {**evidence["fingerprint"], "film": evidences.film_of[clip].sha256}
        for clip, evidence in evidences.found.items()
        if evidence.get("fingerprint", {}).get("status") == "ok" and _passes(evidence, config)
    }
    repeated = find_duplicates(prints, config.duplicates)
    return {
        clip: {**evidence, "duplicates": scores(of=repeated.get(clip))}
        for clip, evidence in evidences.found.items()
    }


def _passes(evidence: Mapping[str, Evidence], config: CurateConfig) -> bool:
    """Whether a clip is kept by all stages but the last, which run on clips that are no duplicates."""
    return decide({stage: found for stage, found in evidence.items() if stage not in LAST}, config).keep


def _film_row(film: Film, evidences: Evidences) -> dict[str, Any]:
    row: dict[str, Any] = {"source": film.source, "film": film.sha256, "kind": film.about["kind"]}
    row |= {"licence": film.about["licence"], "url": film.about.get("url"), "clips": 0}
    row |= {"seconds": None, "rejected": None, "reason": film.problem, "unused": {}}
    if film.sha256:
        row["seconds"] = _seconds(evidences, film)
    if film.problem:
        return (
            row | {"rejected": "the same file as another"} if film.sha256 else row | {"rejected": "not read"}
        )
    problem, cut = evidences.problem(film), evidences.film(film, "clips")
    if problem is not None:
        row |= {"reason": problem[1]}
    if cut is not None:  # its clips, which are rejected for the problem, have its seconds
        return row | {"clips": cut["count"], "unused": cut["unused"]}
    return row if problem is None else row | {"rejected": f"{problem[0]} failed"}


def _seconds(evidences: Evidences, film: Film) -> str | None:
    """The length of a film: of its shots, else by its header."""
    shots, probe = evidences.film(film, "shots"), evidences.film(film, "probe")
    if shots is not None:
        last = shots["shots"][-1]
        return str((last["end_pts"] - last["first_pts"]) * Fraction(*last["time_base"]))
    if probe is not None:
        picture = probe["picture"]
        return str((picture["end_pts"] - picture["start_pts"]) * Fraction(*picture["time_base"]))
    return None
