"""The verdicts of a curation: what its ledger says of each film and each clip, judged by its config.

`work/verdicts.jsonl` has a row for every film and every clip, kept or not. No model runs here.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.curation.config import CurateConfig
from mtv_jax.curation.decide import Judge, people_count, unjudged
from mtv_jax.curation.evidence import ClipEvidence, FilmEvidence, Known
from mtv_jax.curation.filters.duplicates import Alike, find_alike, repeated
from mtv_jax.curation.inputs import Film
from mtv_jax.curation.population import NOBODY, Population, population_of
from mtv_jax.curation.roles import scores
from mtv_jax.curation.sources import OF_DATA_SETS
from mtv_jax.curation.stages import LAST
from mtv_jax.io.files import atomic_path, existing_file, read_json_object, write_json

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Verdicts:
    """Rows of JSON.

    Films: `source`, `film` (SHA-256), `kind`, `licence`, `url`, `seconds` (a fraction; None: not known), `clips`, the
    `reason` of a failure, and, if it came before there were clips, `rejected` (in short); `unused` has the seconds that
    no clip has, by reason; `label`, `split` and `recording` where the source has them.

    Clips: `clip`, `source`, `film`, `start`, `end` (fractions of seconds), `keep`, `failures`, `subsets`;
    the numbers of `people` seen and of `speakers` heard (None: not known); `unjudged`, the stages without their models.
    """

    films: Rows
    clips: Rows
    population: Population = NOBODY
    """What the data set says of its clips."""

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
        """Writes all rows, those of films first."""
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(
                f"{json.dumps(row, ensure_ascii=False)}\n" for row in itertools.chain(self.films, self.clips)
            )


def read_verdicts(path: Path) -> Iterator[dict[str, Any]]:
    """The rows that `Verdicts.write` wrote; those of clips have `clip`. Raises UserError if the file is missing."""
    with open(existing_file(path), encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _all_failures(failures: list[str]) -> str:
    if not failures:
        return "no shot is as long as a clip"
    return f"all clips rejected: {', '.join(dict.fromkeys(failures))}"


def judge(known: Known, config: CurateConfig, cache: Path) -> Verdicts:
    """The verdicts on all films and clips. Clips that are alike are compared once, and remembered in `cache`.

    A clip that is rejected for another reason stands for no other one.
    """
    alike = alike_clips(known, config, cache)
    population = population_of(known, config)
    judging, suspects = Judge(config, population), alike.clips
    films: Rows = []
    clips: Rows = []
    held: dict[str, tuple[int, ClipEvidence]] = {}
    for found in known:
        films.append(_film_row(found))
        for clip, evidence in found.clips.items():
            if clip in suspects:
                held[clip] = (len(clips), evidence)
            clips.append(_clip_row(found.film, clip, evidence, judging))
    passing = {clip for clip, (_, evidence) in held.items() if _passes(evidence, judging)}
    for clip, first in repeated(alike, passing).items():
        number, evidence = held[clip]
        clips[number] |= judging({**evidence, "duplicates": scores(of=first)}).to_json()
    return Verdicts(films, clips, population)


def alike_clips(known: Known, config: CurateConfig, cache: Path) -> Alike:
    """The clips that are alike, from `cache` if it has those of the same fingerprints."""
    if not config.duplicates.on:
        return Alike()
    made_of = {"prints": known.prints, "config": asdict(config.duplicates)}
    if cache.exists():
        stored = read_json_object(cache)
        if stored.pop("made_of", None) == made_of:
            return Alike(**stored)
    alike = find_alike(known.fingerprints(), config.duplicates)
    write_json(cache, {"made_of": made_of, **asdict(alike)})
    return alike


def _passes(evidence: ClipEvidence, judging: Judge) -> bool:
    """Whether a clip is kept by all stages but the last, which run on clips that are no duplicates."""
    return judging({stage: found for stage, found in evidence.items() if stage not in LAST}).keep


def _clip_row(film: Film, clip: str, evidence: ClipEvidence, judging: Judge) -> dict[str, Any]:
    span = evidence["clips"]["span"]
    start = Fraction(*span["start"])
    end = start + span["num_frames"] / Fraction(*span["fps"])
    return {
        "clip": clip,
        "source": film.source,
        "film": film.sha256,
        "start": str(start),
        "end": str(end),
        **judging(evidence).to_json(),
        "people": people_count(evidence),
        "speakers": evidence.get("speakers", {}).get("speakers"),
        "unjudged": list(unjudged(evidence)),
    }


def _film_row(found: FilmEvidence) -> dict[str, Any]:
    film = found.film
    row: dict[str, Any] = {"source": film.source, "film": film.sha256, "kind": film.about["kind"]}
    row |= {"licence": film.about["licence"], "url": film.about.get("url"), "clips": 0}
    row |= {name: film.about[name] for name in OF_DATA_SETS if name in film.about}
    row |= {"seconds": found.seconds, "rejected": None, "reason": film.problem, "unused": {}}
    if film.problem:
        return row | {"rejected": "the same file as another" if film.sha256 else "not read"}
    if found.problem is not None:
        row |= {"reason": found.problem[1]}
    if found.cut is not None:  # its clips, which are rejected for the problem, have its seconds
        return row | {"clips": found.cut["count"], "unused": found.cut["unused"]}
    return row if found.problem is None else row | {"rejected": f"{found.problem[0]} failed"}
