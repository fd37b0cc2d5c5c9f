"""The report on measured videos: figures, a row for each video, the worst first, and what was not measured."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtv_jax.evaluation.report.provenance import code_line, commit, software
from mtv_jax.evaluation.report.schema import Failure, Report, VideoRow
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.manifest import Item
from mtv_jax.evaluation.videos.run import Measurements, Task, Tool, figures_of
from mtv_jax.evaluation.videos.strips import strip_of
from mtv_jax.io.errors import UserError


def videos_report(
    task: Task, found: Measurements, missing: Mapping[str, str], problems: Mapping[str, str]
) -> Report:
    """The report on what was measured.

    Args:
      missing: why metrics were not measured, by name.
      problems: what is wrong with lines of the manifest, which are failures.
    """
    tools = task.tools
    failures = [Failure(name, reason) for name, reason in problems.items()]
    return Report(
        "videos",
        figures_of(tools, found),
        _provenance(task, found),
        _rows(task, found),
        failures + list(found.failures),
        [tool.instrument.variant for tool in tools if tool.instrument.untrained],
        missing=dict(missing),
    )


def cost_lines(found: Measurements) -> Iterator[str]:
    """What each metric cost."""
    for name, seconds in found.seconds.items():
        if seconds:
            yield f"{name}: {sum(seconds) / len(seconds):.2f} s a video ({len(seconds)} videos)"


def code_lines(found: Measurements) -> Iterator[str]:
    """Metrics that other code than this measured, in whole or in part."""
    for name, codes in found.codes.items():
        others = {code: count for code, count in codes.items() if code != code_line()}
        if others:
            counts = "; ".join(f"{count} by {code}" for code, count in others.items())
            yield f"{name}: measured before by other code ({counts}); remove samples/ to measure again"


def _provenance(task: Task, found: Measurements) -> dict[str, Any]:
    facts = {
        "videos": len(task.items),
        "references": len(task.references),
        "commit": commit(),
        **software(),
    }
    for tool in task.tools:
        seconds = found.seconds[tool.metric.name]
        cost = {"seconds_per_video": round(sum(seconds) / len(seconds), 3)} if seconds else {}
        cost |= {"measured_by": dict(found.codes[tool.metric.name])} if seconds else {}
        facts[tool.instrument.variant] = {
            "network": tool.metric.network or "none",
            "source": tool.metric.source,
            **({"inferred": tool.metric.inferred} if tool.metric.inferred else {}),
            **tool.instrument.facts,
            **cost,
        }
    return facts


def _rows(task: Task, found: Measurements) -> list[VideoRow]:
    """A row for each video, the worst by the first metric first, then those that it did not measure."""
    values: dict[str, dict[str, float]] = {item.id: {} for item in task.items}
    for tool in task.tools:
        for row in found.rows[tool.metric.name]:
            if not row.reference:
                found_of = ((name, row.values.get(name)) for name in tool.metric.shown)
                values[row.id] |= {
                    _column(tool, name): float(value) for name, value in found_of if value is not None
                }
    rows = [_row(item, values[item.id], task.out) for item in task.items]
    return sorted(rows, key=_badness(task.tools))


def _row(item: Item, values: Mapping[str, float], out: Path) -> VideoRow:
    try:
        digest = Clip(item).sha256
    except UserError:
        return VideoRow(str(item.video), caption=item.prompt, values=values, id=item.id)
    # The page plays the video where it is.
    path = os.path.relpath(item.video, out)
    strip = strip_of(digest) if (out / strip_of(digest)).exists() else ""
    caption = item.prompt or item.id
    return VideoRow(path, digest, caption, values, shown=True, id=item.id, strip=strip)


def _column(tool: Tool, value: str) -> str:
    """The name of a value of each video: the metric's for its score."""
    return tool.metric.name if value == "score" else f"{tool.metric.name}.{value}"


def _badness(tools: Sequence[Tool]) -> Any:
    """The key by which rows are sorted; by their order if no metric says which values are better."""
    for tool in tools:
        if tool.metric.better != "neither" and tool.metric.shown:
            name, sign = _column(tool, tool.metric.shown[0]), 1 if tool.metric.better == "higher" else -1
            return lambda row: (name not in row.values, sign * row.values.get(name, 0.0))
    return lambda row: 0
