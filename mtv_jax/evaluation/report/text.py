"""A report in plain text, and how its numbers are written on a terminal and on the page."""

from collections.abc import Iterator

from mtv_jax.evaluation.report.claims import BASELINES
from mtv_jax.evaluation.report.schema import Figure, Report


def text_lines(report: Report) -> Iterator[str]:
    """A line for each measured video, failure, missing metric and figure, and how many targets are met."""
    for row in report.rows:
        if row.values:
            yield f"{row.video}: " + ", ".join(f"{name} {value:.4g}" for name, value in row.values.items())
    for failure in report.failures:
        yield f"{failure.video}: failed: {failure.error}"
    for metric, reason in report.missing.items():
        yield f"{metric}: missing: {reason}"
    for figure in report.figures:
        yield text_line(figure)
    met, bounded = targets(report)
    if bounded:
        yield f"{met} of {bounded} targets met"


def text_line(figure: Figure) -> str:
    """A figure: `STATEMENT: NAME: 0.950 (0.930 to 0.970), at least 0.90: met; BASELINE: 0.990; NOTE`."""
    line = f"{figure.claim.statement}: {figure.claim.label}: {number(figure.value)}"
    if figure.interval is not None:
        line += f" ({interval(figure)})"
    if figure.target is not None:
        line += f", {bound(figure)}: {'met' if figure.met else 'not met'}"
    for name, value in figure.baselines.items():
        line += f"; {BASELINES[name]}: {number(value)}"
    return f"{line}; {figure.note}" if figure.note else line


def targets(report: Report) -> tuple[int, int]:
    """How many targets are met, and how many there are."""
    met = [figure.met for figure in report.figures if figure.met is not None]
    return sum(met), len(met)


def number(value: float | None) -> str:
    """A value; counts without a fraction."""
    if value is None:
        return "undefined"
    # Adding zero turns -0.000 into 0.000.
    return f"{value:.0f}" if abs(value) >= 1000 else f"{round(value, 3) + 0.0:.3f}"


def interval(figure: Figure) -> str:
    """Both ends of the 95 % interval, or nothing."""
    return "" if figure.interval is None else f"{number(figure.interval[0])} to {number(figure.interval[1])}"


def bound(figure: Figure) -> str:
    """The target in words, or nothing."""
    if figure.target is None:
        return ""
    return f"{'at most' if figure.claim.at_most else 'at least'} {figure.target:.2f}"
