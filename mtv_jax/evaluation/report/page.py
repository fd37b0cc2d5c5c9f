"""The page of a report: one file of HTML that loads nothing but the videos and the picture beside it."""

import itertools
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from mtv_jax.evaluation.report.claims import BASELINES, SUITES
from mtv_jax.evaluation.report.schema import RESULTS, Figure, Report, VideoRow
from mtv_jax.evaluation.report.text import bound, interval, number, targets
from mtv_jax.io.html import chips, document, table

_STYLE = """
.invalid{background:#b3261e;color:#fff;padding:.8rem 1rem;border-radius:.5rem;font-weight:600}
tbody th{text-align:left;font-size:1rem;font-weight:600;color:var(--ink);padding-top:1rem;white-space:normal}
svg{display:block;margin:.35rem 0 0 auto}
.axis{stroke:var(--line);stroke-width:2}.range{stroke:var(--bar);stroke-width:4}.goal{stroke:var(--soft);stroke-width:2}
circle{fill:var(--bar)}
.clips{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:1rem}
.strip{display:block;width:100%;margin-top:.25rem}
video{width:100%;border-radius:.4rem;border:1px solid var(--line);image-rendering:pixelated}
"""
_BAR = 132
"""Pixels that stand for 0 to 1."""


def page(report: Report) -> str:
    """The page of a report, whatever its suite."""
    question = SUITES[report.suite]
    parts = [
        f"<h1>{escape(question)}</h1>",
        _summary(report),
        _invalid(report.untrained),
        _figures(report.figures),
        _missing(report.missing),
        _videos(report),
        _measurements(report.rows),
        _failures(report),
        _provenance(report.provenance),
    ]
    return "".join(document(question, parts, _STYLE))


def _summary(report: Report) -> str:
    met, bounded = targets(report)
    measured = sum(1 for row in report.rows if row.values or row.sha256)
    facts = [f"suite {report.suite}"]
    facts += [f"{met} of {bounded} targets met"] if bounded else []
    facts += [f"{measured} video{'s' * (measured != 1)} measured"] if measured else []
    facts += [f"{len(report.failures)} failed"] if report.failures else []
    facts += [
        f"{name} {report.provenance[name]}" for name in ("preset", "scene") if name in report.provenance
    ]
    return chips(facts)


def _invalid(untrained: Sequence[str]) -> str:
    if not untrained:
        return ""
    names = escape(", ".join(untrained))
    return f"<p class=invalid>Not a valid result: random weights, not trained: {names}</p>"


def _figures(figures: Sequence[Figure]) -> str:
    """A table of the figures, grouped by what they say; columns that no figure needs are left out."""
    baselines = [name for name in BASELINES if any(name in figure.baselines for figure in figures)]
    bounded = any(figure.target is not None for figure in figures)
    head = ["figure", "value", "95 % interval", "n", *(["target", "met"] if bounded else [])]
    head += [BASELINES[name] for name in baselines]
    rows = []
    for statement, group in itertools.groupby(figures, lambda figure: figure.claim.statement):
        rows.append(f"<tr><th colspan={len(head)}>{escape(statement)}</th></tr>")
        rows += [_figure(figure, baselines, bounded=bounded) for figure in group]
    return table(head, rows)


def _figure(figure: Figure, baselines: Sequence[str], *, bounded: bool) -> str:
    note = f"<br><small>{escape(figure.note)}</small>" if figure.note else ""
    cells = [
        f"<td id='{escape(figure.id)}'>{escape(figure.claim.label)}{note}</td>",
        f"<td class=n>{number(figure.value)}</td>",
        f"<td class=n>{interval(figure)}{_bar(figure)}</td>",
        f"<td class=n>{figure.n}</td>",
    ]
    if bounded:
        mark, met = {None: ("", ""), True: ("yes", "yes"), False: ("no", "no")}[figure.met]
        cells += [f"<td class=n>{bound(figure)}</td>", f"<td class='{mark}'>{met}</td>"]
    for name in baselines:
        value = number(figure.baselines[name]) if name in figure.baselines else ""
        cells.append(f"<td class=n>{value}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _bar(figure: Figure) -> str:
    """The value, its interval and the target on a line from 0 to 1; nothing for other values."""
    value, target = figure.value, figure.target
    low, high = figure.interval or [value, value]
    if value is None or low is None or high is None or not -0.05 <= low <= high <= 1.05:
        return ""

    def at(x: float) -> float:
        return round(4 + _BAR * min(max(x, 0.0), 1.0), 1)

    drawn = f"<line class=axis x1=4 x2={4 + _BAR} y1=7 y2=7 />"
    drawn += f"<line class=range x1={at(low)} x2={at(high)} y1=7 y2=7 />"
    if target is not None:
        drawn += f"<line class=goal x1={at(target)} x2={at(target)} y1=1 y2=13 />"
    drawn += f"<circle cx={at(value)} cy=7 r=3.5 />"
    return f"<svg width={_BAR + 8} height=14 aria-hidden=true>{drawn}</svg>"


def _videos(report: Report) -> str:
    shown = [row for row in report.rows if row.shown]
    if not shown and report.contact_sheet is None:
        return ""
    clips = "\n".join(map(_clip, shown))
    parts = ["<h2>Videos</h2>", f"<div class=clips>{clips}</div>" if shown else ""]
    if report.contact_sheet is not None:
        parts.append(
            "<p>Each column of the sheet is the frame at that time, over the waves of the tracks.</p>"
        )
        parts.append(
            f"<p><img src='{escape(report.contact_sheet)}' alt='frames over the waves of their tracks'></p>"
        )
    return "\n".join(part for part in parts if part)


def _clip(row: VideoRow) -> str:
    """A video with its caption. One that has a strip of frames is loaded when it is played: there may be many."""
    preload, strip = "metadata", ""
    if row.strip:
        preload = "none"
        strip = f"<img class=strip src='{escape(quote(row.strip))}' loading=lazy alt='frames of the video'>"
    video = f"<video src='{escape(quote(row.video))}' controls loop preload={preload}></video>"
    return f"<figure>{video}{strip}<figcaption>{escape(row.caption or row.video)}</figcaption></figure>"


def _measurements(rows: Sequence[VideoRow]) -> str:
    """What was measured on each video, a column for each number."""
    rows = [row for row in rows if row.values]
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    if not rows:
        return ""
    lines = []
    for row in rows:
        cells = "".join(
            f"<td class=n>{row.values[name]:.4g}</td>" if name in row.values else "<td></td>"
            for name in names
        )
        lines.append(f"<tr><td>{escape(row.video)}</td>{cells}</tr>")
    return "<h2>Each video</h2>\n" + table(["video", *names], lines)


def _failures(report: Report) -> str:
    if not report.failures:
        return ""
    lines = [
        f"<tr><td>{escape(failure.video)}</td><td>{escape(failure.error)}</td></tr>"
        for failure in report.failures
    ]
    return "<h2>Not measured</h2>\n" + table(["video", "why"], lines)


def _missing(missing: Mapping[str, str]) -> str:
    """Metrics that were asked for and could not be measured."""
    lines = [f"<tr><td>{escape(name)}</td><td>{escape(reason)}</td></tr>" for name, reason in missing.items()]
    return "<h2>Missing metrics</h2>\n" + table(["metric", "what it needs"], lines) if lines else ""


def _provenance(provenance: Mapping[str, Any]) -> str:
    """Plain facts in a table; hashes and versions, which are many, behind a click."""
    plain = [_fact(name, value) for name, value in provenance.items() if not isinstance(value, Mapping)]
    nested = "\n".join(
        f"<details><summary>{escape(name)}</summary>"
        f"{table(['', ''], [_fact(*pair) for pair in value.items()])}</details>"
        for name, value in provenance.items()
        if isinstance(value, Mapping)
    )
    link = f"<p>The same for programs: <a href='{RESULTS}'>{RESULTS}</a>.</p>"
    return f"<h2>What was measured</h2>\n{table(['', ''], plain)}\n{nested}\n{link}"


def _fact(name: str, value: Any) -> str:
    return f"<tr><td>{escape(name)}</td><td class=mono>{escape(str(value))}</td></tr>"
