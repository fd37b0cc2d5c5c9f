"""The theatre's figures of video files, as the theatre suite defines them (`mtv_jax.evaluation.theatre.suite`)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mtv_jax.evaluation.metrics.base import Measured, resampled, video_mean, video_metric
from mtv_jax.evaluation.metrics.statistics import f1_score
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.evaluation.theatre.suite import LAGS


def _figures(rows: Sequence[Measured]) -> list[Figure]:
    return [
        *_lips([row for row in rows if "lips" in row.values]),
        *_events([row for row in rows if row.values.get("heard")]),
        *video_mean("looks.correct", [(row.group, row.values["looks"]) for row in rows]),
    ]


def _lips(rows: Sequence[Measured]) -> list[Figure]:
    """At the lag, the same for all videos, at which lips follow best."""
    if not rows:
        return []
    by_lag = np.array([row.values["lips_by_lag"] for row in rows])
    best = int(by_lag.mean(axis=0).argmax())
    values = [(row.group, float(value)) for row, value in zip(rows, by_lag[:, best], strict=True)]
    exact = [(row.group, float(row.values["lips_lag"] == 0)) for row in rows]
    return [
        *video_mean("lips.correlation", values, note=f"lips {LAGS[best]} frames late"),
        *video_mean("lips.exact_lag", exact),
    ]


def _events(rows: Sequence[Measured]) -> list[Figure]:
    """F1 over all strikes of the videos whose effects have any."""
    if not rows:
        return []
    counts = np.array([[row.values[name] for name in ("pairs", "seen", "heard")] for row in rows])

    def compute(picks: Any) -> float:
        return f1_score(*(int(n) for n in counts[picks].sum(axis=0)))

    return [resampled("events.f1", compute, [row.group for row in rows])]


THEATRE = video_metric(_figures)
