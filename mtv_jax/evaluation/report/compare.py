"""How two results differ: of each figure, and of the same videos in both, paired."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mtv_jax.evaluation.metrics.statistics import bootstrap_of
from mtv_jax.evaluation.report.schema import RESULTS, Report, read_report
from mtv_jax.evaluation.report.text import number
from mtv_jax.io.errors import UserError

_OTHER_FACTS = ("videos", "references", "packages", "code", "commit", "files", "python")
"""Of a report's provenance, what may differ where figures are comparable."""


def comparison_lines(a: Path, b: Path) -> Iterator[str]:
    """What results `b` have more than results `a`: figures, then means over the videos of both with 95 % intervals.

    Raises UserError if a folder has no results, or they are of different suites.
    """
    first, second = (read_report(path / RESULTS if path.is_dir() else path) for path in (a, b))
    if first.suite != second.suite:
        raise UserError(
            f"{b}: is of the suite {second.suite}, and {a} of {first.suite}; they cannot be compared"
        )
    yield from _caveats(first, second, a, b)
    yield from _unlike_sets(first, second)
    others = {figure.id: figure for figure in second.figures}
    for figure in first.figures:
        other = others.get(figure.id)
        if other is not None and figure.value is not None and other.value is not None:
            change = f"{number(figure.value)} -> {number(other.value)}"
            yield f"{figure.claim.label}: {change} ({_signed(other.value - figure.value)})"
    yield from _paired(first, second)


def _caveats(first: Report, second: Report, a: Path, b: Path) -> Iterator[str]:
    for report, path in ((first, a), (second, b)):
        if report.untrained:
            yield f"{path}: not a valid result: random weights: {', '.join(report.untrained)}"
    for name in sorted(first.provenance.keys() & second.provenance.keys()):
        one, other = (_facts(report.provenance[name]) for report in (first, second))
        if one != other and name not in _OTHER_FACTS:
            yield f"{name}: measured otherwise in {b} than in {a}, so that its figures are not comparable"
    for name in sorted(first.provenance.keys() ^ second.provenance.keys()):
        place, report = (a, first) if name in first.provenance else (b, second)
        if isinstance(report.provenance[name], dict):
            yield f"{name}: only in {place}; figures of other networks are not comparable"


def _unlike_sets(first: Report, second: Report) -> Iterator[str]:
    """Distances of sets depend on the numbers of their videos and frames."""
    others = {figure.id: figure for figure in second.figures}
    for figure in first.figures:
        other = others.get(figure.id, figure)
        if figure.id.startswith("fvd.") and (figure.n, figure.note) != (other.n, other.note):
            yield f"{figure.claim.label}: of other numbers of videos or frames, so that it is not comparable"


def _facts(value: object) -> object:
    """What a figure depends on, without what it cost and which code measured it."""
    if not isinstance(value, dict):
        return value
    return {key: fact for key, fact in value.items() if key not in ("seconds_per_video", "measured_by")}


def _paired(first: Report, second: Report) -> Iterator[str]:
    """Differences of the videos of the same id in both."""
    one, other = ({row.id or row.video: row for row in report.rows} for report in (first, second))
    names = dict.fromkeys(name for row in first.rows for name in row.values)
    for name in names:
        ids = [i for i in one if i in other and name in one[i].values and name in other[i].values]
        if not ids:
            continue
        change = np.array([other[i].values[name] - one[i].values[name] for i in ids])
        ends = bootstrap_of(
            lambda picks, d=change: float(d[picks].mean()), [one[i].caption or i for i in ids]
        )
        spread = f" ({_signed(ends[0])} to {_signed(ends[1])})" if ends else ""
        yield f"{name}, {len(ids)} videos of both: {_signed(float(change.mean()))}{spread}"


def _signed(value: float) -> str:
    return f"{value:+.4g}"
