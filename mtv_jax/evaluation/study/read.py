"""The figures of a study: win rates or means with intervals, and the agreement between participants.

`results.json` is an object of

    kind            "mtv_jax study results"
    schema_version  1
    study, form, systems, clips, participants, answers
    figures         a list: question, system, value, unit ("%" of answers that chose it, or "points" from 1 to 5), n
                    (answers), interval_participants and interval_clips (95 %, by bootstrap over either; null for
                    fewer than two)
    agreement       a list: question, level, alpha (Krippendorff's), interval (95 %, by bootstrap over units: clips, or
                    videos where each is rated), p (of a permutation test), units
    problems        an object: files that were not used or not complete
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.evaluation.metrics.statistics import bootstrap_of
from mtv_jax.evaluation.report.schema import RESULTS
from mtv_jax.evaluation.study.agreement import MISSING, Agreement, Level, agreement
from mtv_jax.evaluation.study.answers import Collected, collect, matrix
from mtv_jax.evaluation.study.design import Study, read_key
from mtv_jax.evaluation.study.form import LEAST, MOST, Question
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json

VERSION = 1


@dataclass(frozen=True)
class StudyFigure:
    """What participants answered about a system; all answers count the same. Without any, the value is None."""

    question: str
    system: str
    value: float | None
    unit: str
    n: int
    interval_participants: list[float] | None
    interval_clips: list[float] | None


@dataclass(frozen=True)
class StudyResults:
    """The figures of a study, by question and system, and the agreement on each question."""

    study: Study
    collected: Collected
    figures: tuple[StudyFigure, ...]
    agreement: dict[str, Agreement]

    def to_json(self) -> dict[str, Any]:
        """As `results.json` holds it."""
        level = _level(self.study)
        agreed = [
            {"question": name, "level": level, **asdict(found)} for name, found in self.agreement.items()
        ]
        return {
            "kind": "mtv_jax study results",
            "schema_version": VERSION,
            "study": self.study.id,
            "form": self.study.form.id,
            "systems": list(self.study.systems),
            "clips": len(self.study.clips),
            "participants": len(self.collected.sheets),
            "answers": sum(len(sheet.answers) for sheet in self.collected.sheets),
            "figures": [asdict(figure) for figure in self.figures],
            "agreement": agreed,
            "problems": dict(self.collected.problems),
        }


def read_study(key: Path, answers: Sequence[Path], out: Path) -> StudyResults:
    """Writes `results.json`. Raises UserError for a file that is not a key, and if no answers can be used."""
    study = read_key(key)
    collected = collect(study, answers)
    if not collected.sheets:
        first = next((f"; {path}: {reason}" for path, reason in collected.problems.items()), "")
        raise UserError(f"{key}: no answers to it among {collected.files} files{first}")
    results = figures_of(study, collected)
    write_json(out / RESULTS, results.to_json())
    return results


def figures_of(study: Study, collected: Collected) -> StudyResults:
    """The figures of answers."""
    figures: list[StudyFigure] = []
    agreed = {}
    for question in study.form.questions:
        units, answers = matrix(study, collected.sheets, question.id)
        of_question = _best if study.form.kind == "best" else _rated
        figures += of_question(study, question, units, answers)
        values = len(study.systems) if study.form.kind == "best" else MOST - LEAST + 1
        agreed[question.id] = agreement(answers, values, _level(study))
    return StudyResults(study, collected, tuple(figures), agreed)


def _level(study: Study) -> Level:
    return "nominal" if study.form.kind == "best" else "ordinal"


def _best(study: Study, question: Question, units: list[str], answers: np.ndarray) -> Iterator[StudyFigure]:
    """How often each system was chosen, in percent of the answers."""
    who, which = np.nonzero(answers != MISSING)
    for number, system in enumerate(study.systems):
        won = 100.0 * (answers[who, which] == number)
        yield _figure(question, system, "%", won, who, which)


def _rated(study: Study, question: Question, units: list[str], answers: np.ndarray) -> Iterator[StudyFigure]:
    """The mean rating of each system's videos."""
    systems = {video: system for clip in study.clips.values() for video, system in clip.videos.items()}
    for system in study.systems:
        own = np.array([systems[video] == system for video in units])
        who, which = np.nonzero((answers != MISSING) & own)
        ratings = LEAST + answers[who, which].astype(np.float64)
        yield _figure(question, system, "points", ratings, who, which)  # a clip has one video of a system


def _figure(
    question: Question, system: str, unit: str, values: np.ndarray, who: np.ndarray, clips: np.ndarray
) -> StudyFigure:
    def mean(picks: np.ndarray) -> float:
        return float(values[picks].mean())

    return StudyFigure(
        question.id,
        system,
        float(values.mean()) if len(values) else None,
        unit,
        len(values),
        bootstrap_of(mean, who.tolist()),
        bootstrap_of(mean, clips.tolist()),
    )


def study_lines(results: StudyResults) -> Iterator[str]:
    """The results in text."""
    study, collected = results.study, results.collected
    for path, reason in collected.problems.items():
        yield f"{path}: {reason}"
    yield f"{len(collected.sheets)} participants, from {collected.files} files, {len(collected.problems)} with problems"
    yield "95 % intervals: by bootstrap over participants; in brackets, over clips"
    for question in study.form.questions:
        chance = f", {100 / len(study.systems):.1f} % by chance" if study.form.kind == "best" else ""
        yield f"{question.name}{chance}:"
        for figure in results.figures:
            if figure.question == question.id:
                yield f"  {figure.system}: {_written(figure)}"
        yield f"  agreement: {_agreed(results.agreement[question.id])}"


def _written(figure: StudyFigure) -> str:
    if figure.value is None:
        return "no answers"
    over = _ends(figure.interval_participants), _ends(figure.interval_clips)
    return f"{figure.value:.2f} {figure.unit}, {over[0]} [{over[1]}], {figure.n} answers"


def _agreed(found: Agreement) -> str:
    if found.alpha is None:
        return "not defined: too few answers, or all the same"
    return (
        f"Krippendorff's alpha {found.alpha:.3f} [{_ends(found.interval)}], p = {found.p:.3f} (permutations)"
    )


def _ends(ends: Sequence[float] | None) -> str:
    return "no interval" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"
