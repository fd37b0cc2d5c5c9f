"""The metrics of videos: the one table of what they are, and where their code is."""

import difflib
import importlib
from collections.abc import Iterator
from typing import Any

from mtv_jax.evaluation.videos.metric import VideoMetric
from mtv_jax.io.errors import UserError


def _lazy(path: str) -> Any:
    """A function that calls the one at `path`, whose module is imported only then."""
    module, name = f"mtv_jax.evaluation.{path}".rsplit(".", 1)
    return lambda *args: getattr(importlib.import_module(module), name)(*args)


def _metric(path: str) -> Any:
    """A function that gives the object at `path`."""
    module, name = f"mtv_jax.evaluation.{path}".rsplit(".", 1)
    return lambda: getattr(importlib.import_module(module), name)


_TABLE = (
    VideoMetric(
        name="av_align",
        measures="whether sounds begin when something moves",
        better="higher",
        network="",
        weights="needs none",
        licence="",
        source="TempoTokens (Yariv et al. 2023), as corrected in February 2025",
        needs=("sound",),
        shown=("score", "onsets", "peaks", "matches"),
        open=_lazy("videos.instruments.av_align.open_av_align"),
        metric=_metric("metrics.av_align.AV_ALIGN"),
    ),
)

METRICS = {metric.name: metric for metric in _TABLE}
"""Every metric by its name."""


def find_metrics(names: str) -> list[VideoMetric]:
    """The metrics of a list such as "fvd,temp_c". Raises UserError for an unknown name, and for none."""
    found = {name.strip(): _find(name.strip()) for name in names.split(",") if name.strip()}
    if not found:
        raise UserError(f"--metrics {names!r}: names no metric; known are {', '.join(METRICS)}")
    return list(found.values())


def _find(name: str) -> VideoMetric:
    if name not in METRICS:
        near = difflib.get_close_matches(name, METRICS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"--metrics {name}: unknown; known are {', '.join(METRICS)}{hint}")
    return METRICS[name]


def catalogue_lines() -> Iterator[str]:
    """What there is to know about each metric, for `--metrics list`."""
    for metric in METRICS.values():
        yield f"{metric.name}: {metric.measures} ({metric.better} is better)".replace(
            " (neither is better)", ""
        )
        facts = {
            "network": metric.network or "none",
            "weights": metric.weights,
            "licence": metric.licence,
            "needs": ", ".join(metric.needs),
            "source": metric.source,
            "inferred": metric.inferred,
        }
        yield from (f"  {name:9} {value}" for name, value in facts.items() if value)
