"""The schema of `results.json`, the same for all suites.

An object of

    schema_version  2
    suite           "theatre", "objects", "scene" or "videos"
    valid           false if parts of the pipeline were not trained
    untrained       names of those parts
    figures         a list: id, value, interval, n, target, met, baselines, note; and, from the table of claims, in
                    words: claim, name, unit, at_most
    rows            a list: what was measured on each video, or shown of it
    failures        a list: videos that could not be measured, and why
    missing         an object: metrics that could not be measured, and what they need
    provenance      everything that the results depend on
    contact_sheet   name of a picture beside this file, or null
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mtv_jax.evaluation.report.claims import BASELINES, SUITES, Claim, claim
from mtv_jax.io.checks import check_number, check_whole
from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object

VERSION = 2
RESULTS = "results.json"
_MOST = 2**53
_IN_WORDS = ("claim", "name", "unit", "at_most", "met")
"""Keys of a figure that follow from the others: written for people, not read back."""


@dataclass(frozen=True)
class Figure:
    """A number of a report.

    Attributes:
      id: of its claim (`claims.CLAIMS`).
      value: None where it cannot be computed; its target is then not met.
      n: number of clips or videos that it was computed from.
      interval: 95 %, low and high; None if it is not known.
      target: None if the figure is only reported.
      baselines: the same figure of what it is compared with, by the ids of `claims.BASELINES`.
      note: what is particular to this measurement.

    Raises UserError for an unknown id of a claim or a baseline.
    """

    id: str
    value: float | None
    n: int
    interval: list[float] | None = None
    target: float | None = None
    baselines: Mapping[str, float | None] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self):
        claim(self.id)
        if unknown := set(self.baselines) - set(BASELINES):
            raise UserError(f"figure {self.id}: unknown baselines {', '.join(sorted(unknown))}")

    @property
    def claim(self) -> Claim:
        """What it is about."""
        return claim(self.id)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        if self.value is None:
            return False
        return abs(self.value) <= self.target if self.claim.at_most else self.value >= self.target

    def to_json(self) -> dict[str, Any]:
        """All fields, and what follows from them in words."""
        about = self.claim
        return {
            **{name: getattr(self, name) for name in ("id", "value", "interval", "n", "target")},
            "met": self.met,
            "baselines": dict(self.baselines),
            "note": self.note,
            "claim": about.statement,
            "name": about.name,
            "unit": about.unit,
            "at_most": about.at_most,
        }

    @classmethod
    def from_json(cls, values: Any) -> "Figure":
        """The inverse of `to_json`. Raises UserError for fields that are missing, unknown or of another type."""
        found = cls(**_fields_of(cls, values, ignored=_IN_WORDS))
        check_whole("n", found.n, least=0, most=_MOST)
        numbers = [found.value, found.target, *found.baselines.values(), *(found.interval or [0.0, 0.0])]
        for number in numbers:
            if number is not None:
                check_number(found.id, number)
        if found.interval is not None and len(found.interval) != 2:
            raise UserError(f"{found.id}: an interval has two ends, not {len(found.interval)}")
        return found


@dataclass(frozen=True)
class VideoRow:
    """A video that was measured or is shown.

    Attributes:
      video: its name, or its path relative to `results.json`.
      sha256: of its file, if it was read from one.
      caption: what it was made from.
      values: numbers that were measured on it, by name.
      shown: whether `video` is a relative path, so that the page can play it.
      id: the same for the same case in other results, by which they are compared; "": `video` is.
      strip: relative path of a picture of some of its frames; "": there is none.
    """

    video: str
    sha256: str | None = None
    caption: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    shown: bool = False
    id: str = ""
    strip: str = ""


@dataclass(frozen=True)
class Failure:
    """A video that could not be measured, and why."""

    video: str
    error: str


@dataclass(frozen=True)
class Report:
    """The results of a suite. Raises UserError for an unknown suite.

    Attributes:
      suite: id of the suite (`claims.SUITES`).
      provenance: everything that the results depend on.
      untrained: parts that were not trained, which makes the results invalid.
      contact_sheet: name of a picture beside `results.json`.
      missing: metrics that could not be measured, such as those without weights, and what they need.
    """

    suite: str
    figures: list[Figure]
    provenance: Mapping[str, Any]
    rows: list[VideoRow] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    untrained: list[str] = field(default_factory=list)
    contact_sheet: str | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if self.suite not in SUITES:
            raise UserError(f"suite {self.suite!r}: unknown; known are {', '.join(SUITES)}")

    def figure(self, identifier: str) -> Figure:
        """The figure of a claim. Raises UserError if the claim is unknown or the report does not have it."""
        claim(identifier)
        found = next((figure for figure in self.figures if figure.id == identifier), None)
        if found is None:
            raise UserError(f"this report of suite {self.suite} has no figure {identifier}")
        return found

    def to_json(self) -> dict[str, Any]:
        """As `results.json` holds it."""
        return {
            "schema_version": VERSION,
            "suite": self.suite,
            "valid": not self.untrained,
            "untrained": list(self.untrained),
            "figures": [figure.to_json() for figure in self.figures],
            "rows": [{**vars(row), "values": dict(row.values)} for row in self.rows],
            "failures": [dict(vars(failure)) for failure in self.failures],
            "provenance": dict(self.provenance),
            "contact_sheet": self.contact_sheet,
            "missing": dict(self.missing),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Report":
        """The inverse of `to_json`. Raises UserError for anything that is not of this schema."""
        if values.get("schema_version") != VERSION:
            raise UserError(f"schema_version {values.get('schema_version')!r}: only {VERSION} can be read")
        found = _fields_of(cls, values, ignored=("schema_version", "valid"))
        found["figures"] = [Figure.from_json(figure) for figure in found["figures"]]
        found["rows"] = [VideoRow(**_fields_of(VideoRow, _with_strip(row))) for row in found["rows"]]
        found["failures"] = [Failure(**_fields_of(Failure, row)) for row in found["failures"]]
        return cls(**found)


def _with_strip(row: Any) -> Any:
    """A row of a report, the older ones of which have no strips."""
    return {"strip": "", **row} if isinstance(row, dict) else row


_TYPES: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "note": (str,),
    "value": (int, float, type(None)),
    "target": (int, float, type(None)),
    "interval": (list, type(None)),
    "n": (int,),
    "baselines": (dict,),
    "video": (str,),
    "sha256": (str, type(None)),
    "caption": (str,),
    "values": (dict,),
    "shown": (bool,),
    "strip": (str,),
    "error": (str,),
    "suite": (str,),
    "figures": (list,),
    "rows": (list,),
    "failures": (list,),
    "untrained": (list,),
    "provenance": (dict,),
    "contact_sheet": (str, type(None)),
    "missing": (dict,),
}
"""JSON types of the fields, whose names mean the same wherever they occur."""


def _fields_of(kind: type, values: Any, ignored: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a dataclass in a JSON object, all of them and no others."""
    if not isinstance(values, dict):
        raise UserError(f"{kind.__name__}: must be an object, not {str(values)[:60]!r}")
    names = {field.name for field in fields(kind)}
    if unknown := set(values) - names - set(ignored):
        raise UserError(f"{kind.__name__}: unknown keys {', '.join(sorted(unknown))}")
    if missing := names - set(values):
        raise UserError(f"{kind.__name__}: missing keys {', '.join(sorted(missing))}")
    for name in names:
        if not isinstance(values[name], _TYPES[name]):
            raise UserError(f"{kind.__name__}.{name}: {str(values[name])[:60]!r} is of the wrong type")
    return {name: values[name] for name in names}


def read_report(path: str | os.PathLike) -> Report:
    """Reads a `results.json`. Raises UserError, naming the file, for anything that is not of this schema."""
    values = read_json_object(path)
    with errors_in_file(path):
        return Report.from_json(values)
