"""Reads the answer files of a study. What cannot be used is reported, and the rest is used."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.evaluation.study.agreement import MISSING, Answers
from mtv_jax.evaluation.study.design import VERSION, Study
from mtv_jax.evaluation.study.form import LEAST, MOST
from mtv_jax.evaluation.study.page import ANSWERS
from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json_object, visible


@dataclass(frozen=True)
class Sheet:
    """The answers of a participant: the number of a system, or a rating less 1, by the name of the question asked."""

    path: Path
    participant: int
    answers: Mapping[str, int]


@dataclass(frozen=True)
class Collected:
    """What was found.

    Attributes:
      sheets: one a participant, by their numbers.
      files: number of files that were given.
      problems: what is wrong with files, by their paths; those that are damaged or foreign are not among the sheets.
    """

    sheets: tuple[Sheet, ...]
    files: int
    problems: Mapping[str, str]


def asked(study: Study) -> dict[str, dict[str, int]]:
    """The values of each answer of a study, and their numbers, by the name of the question as it is asked.

    The name is that of a clip (best of its videos) or a video (rating), a slash, and the id of the question.
    """
    numbers = {system: number for number, system in enumerate(study.systems)}
    ratings = {str(rating): rating - LEAST for rating in range(LEAST, MOST + 1)}
    found = {}
    for name, clip in study.clips.items():
        best = {video: numbers[system] for video, system in clip.videos.items()}
        values = {name: best} if study.form.kind == "best" else dict.fromkeys(clip.videos, ratings)
        for unit, options in values.items():
            found |= {f"{unit}/{question.id}": options for question in study.form.questions}
    return found


def collect(study: Study, paths: Sequence[Path]) -> Collected:
    """Reads answer files, and folders of them. Of two files of one participant, the one with more answers is used.

    Raises UserError for a folder that does not exist.
    """
    names = asked(study)
    sheets: dict[int, Sheet] = {}
    problems: dict[str, str] = {}
    files = list(dict.fromkeys(_files(paths)))
    for path in files:
        try:
            sheet, strange = _sheet(path, study, names)
        except UserError as error:
            problems[str(path)] = str(error).removeprefix(f"{path}: ")
            continue
        if note := _incomplete(len(names) - len(sheet.answers), strange, len(names)):
            problems[str(path)] = note
        other = sheets.get(sheet.participant)
        kept = sheet if other is None or len(sheet.answers) > len(other.answers) else other
        if other is not None:
            dropped = other if kept is sheet else sheet
            problems[str(dropped.path)] = (
                f"not used: participant {sheet.participant} is also in {kept.path}, with as many answers or more"
            )
        sheets[sheet.participant] = kept
    return Collected(tuple(sheets[number] for number in sorted(sheets)), len(files), problems)


def matrix(study: Study, sheets: Sequence[Sheet], question: str) -> tuple[list[str], Answers]:
    """The clips or videos that a question is asked of, and the answers of participants to it."""
    units = [unit for unit, slash, asks in (name.partition("/") for name in asked(study)) if asks == question]
    rows = [[sheet.answers.get(f"{unit}/{question}", MISSING) for unit in units] for sheet in sheets]
    return units, np.array(rows, np.int64).reshape(len(sheets), len(units))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (file for file in visible(path) if file.suffix.lower() == ".json")
        else:
            yield path


def _sheet(path: Path, study: Study, names: Mapping[str, Mapping[str, int]]) -> tuple[Sheet, int]:
    """A file's answers, and the number of those that are not of this study. Raises UserError if it is of no use."""
    values = read_json_object(path)
    if values.get("kind") != ANSWERS or values.get("schema_version") != VERSION:
        raise UserError("not used: not an answer file of a study")
    if values.get("study") != study.id:
        raise UserError(f"not used: of another study ({str(values.get('study'))[:40]!r}, not {study.id})")
    participant = check_whole("not used: participant", values.get("participant"), most=study.participants)
    given = values.get("answers")
    if not isinstance(given, dict) or not given:
        raise UserError("not used: no answers in it")
    answers = {name: names[name][value] for name, value in given.items() if _known(names, name, value)}
    if not answers:
        raise UserError("not used: none of its answers is of this study")
    return Sheet(path, participant, answers), len(given) - len(answers)


def _known(names: Mapping[str, Mapping[str, int]], name: str, value: Any) -> bool:
    return isinstance(value, str) and value in names.get(name, ())


def _incomplete(missing: int, strange: int, total: int) -> str:
    parts = [f"{missing} of {total} answers are missing"] if missing else []
    parts += [f"{strange} answers are not of this study and not used"] if strange else []
    return "; ".join(parts)
