"""Measures videos by several metrics: what is known is not measured again, and what fails is counted."""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mtv_jax.evaluation.metrics.base import measured
from mtv_jax.evaluation.report.provenance import code_line
from mtv_jax.evaluation.report.schema import Failure, Figure
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.manifest import Item
from mtv_jax.evaluation.videos.metric import Instrument, Measured, VideoMetric, Weights
from mtv_jax.evaluation.videos.options import Part
from mtv_jax.evaluation.videos.samples import FOLDER, Samples, key_of
from mtv_jax.evaluation.videos.strips import write_strip
from mtv_jax.io.errors import UserError
from mtv_jax.io.jsonl import RowWriter
from mtv_jax.io.progress import progress


@dataclass(frozen=True)
class Tool:
    """A metric with its instrument."""

    metric: VideoMetric
    instrument: Instrument


@dataclass(frozen=True)
class Task:
    """What is measured.

    Attributes:
      tools: metrics with their instruments.
      items: the videos.
      references: real videos, which metrics of two sets compare them with.
      out: folder of the rows, and of the report.
    """

    tools: Sequence[Tool]
    items: Sequence[Item]
    references: Sequence[Item]
    out: Path


@dataclass(frozen=True)
class Measurements:
    """What is known of the videos.

    Attributes:
      rows: of each metric, by its name.
      failures: videos that could not be measured, by one metric or by all.
      seconds: that each metric took for each of its videos, by its name, whenever they were measured.
      codes: how many of the videos of each metric, by its name, were measured by which code (`code_line`).
    """

    rows: Mapping[str, Sequence[Measured]]
    failures: Sequence[Failure]
    seconds: Mapping[str, Sequence[float]]
    codes: Mapping[str, Mapping[str, int]]


def open_tools(metrics: Sequence[VideoMetric], weights: Weights) -> tuple[list[Tool], dict[str, str]]:
    """The metrics whose networks are there, and why the others cannot be measured, by name."""
    tools: list[Tool] = []
    missing: dict[str, str] = {}
    for metric in metrics:
        try:
            tools.append(Tool(metric, metric.open(weights)))
        except UserError as error:
            missing[metric.name] = str(error)
    return tools, missing


def measure(task: Task, *, part: Part, strict: bool = False, strips: bool = False) -> None:
    """Measures what is not known yet of this part of the videos, and keeps it in a folder of `out`.

    With `strips` a strip of frames of each video is drawn for the page. Raises UserError for the first video that
    cannot be measured if `strict`; otherwise it is kept as a failure.
    """
    samples = Samples(task.out / FOLDER, part.name)
    jobs = list(_jobs(task))[part.number :: part.count]
    with samples.writer() as writer:
        for job in progress(jobs, "measuring videos"):
            clip = Clip(job.item)
            for tool in job.tools:
                _measure(tool, clip, samples, writer, strict=strict)
            if strips and not job.reference:
                write_strip(clip, task.out)


def gather(task: Task) -> Measurements:
    """What is known of the videos, whichever process measured it.

    A video that was not measured is a failure as well.
    """
    samples = Samples(task.out / FOLDER, "")
    rows: dict[str, list[Measured]] = {tool.metric.name: [] for tool in task.tools}
    seconds: dict[str, list[float]] = {tool.metric.name: [] for tool in task.tools}
    codes: dict[str, Counter[str]] = {tool.metric.name: Counter() for tool in task.tools}
    failures: dict[Failure, None] = {}
    for job in _jobs(task):
        clip = Clip(job.item)
        for tool in job.tools:
            name = tool.metric.name
            try:
                row = samples.get(key_of(tool.metric, tool.instrument, clip)) or {
                    "error": "not measured yet; run the other parts"
                }
                if "error" in row:
                    raise UserError(f"{name}: {row['error']}")
            except UserError as error:
                failures[Failure(job.item.id, str(error))] = None
                continue
            group = job.item.prompt or job.item.id
            rows[name].append(Measured(job.item.id, group, row["values"], job.reference))
            seconds[name].append(float(row["seconds"]))
            codes[name][row.get("code", "unknown")] += 1
    return Measurements(rows, list(failures), seconds, codes)


def figures_of(tools: Sequence[Tool], found: Measurements) -> list[Figure]:
    """The figures of all metrics, in their order."""
    figures: list[Figure] = []
    for tool in tools:
        figures += measured(tool.metric.metric(), found.rows[tool.metric.name])
    return figures


class _Job(NamedTuple):
    """A video, whether it is one of the references, and who measures it."""

    item: Item
    reference: bool
    tools: Sequence[Tool]


def _jobs(task: Task) -> Iterator[_Job]:
    """All videos; those of the reference set for the metrics that need one."""
    for item in task.items:
        yield _Job(item, False, task.tools)
    compared = [tool for tool in task.tools if "reference" in tool.metric.needs]
    for item in task.references if compared else ():
        yield _Job(item, True, compared)


def _measure(tool: Tool, clip: Clip, samples: Samples, writer: RowWriter, *, strict: bool) -> None:
    """Adds a row of what a metric measures of a clip, unless there is one; what failed is tried again.

    A video must not end the measurement of others, so no error does, of a library or for lack of memory either.
    """
    name = tool.metric.name
    try:
        key = key_of(tool.metric, tool.instrument, clip)
    except UserError:
        if strict:
            raise
        return  # `gather` meets the same error, and reports it
    if "values" in (samples.get(key) or {}):
        return
    began = time.perf_counter()
    row: dict[str, Any] = {"metric": name, "key": key, "id": clip.item.id, "code": code_line()}
    try:
        values = tool.instrument.measure(clip)
        _check_finite(values)
        row |= {"values": values, "seconds": time.perf_counter() - began}
    except Exception as error:
        reason = str(error) if isinstance(error, UserError) else _described(error)
        if strict:
            raise UserError(f"{clip.item.id}: {name}: {reason}") from error
        row |= {"error": reason}
    samples.add(writer, row)


def _described(error: Exception) -> str:
    """An error of a library in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _check_finite(value: Any) -> None:
    """Raises UserError for NaN or infinity, however deep."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            _check_finite(part)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError("what was measured is not finite; the weights or the video are damaged")
