"""SyncSynth's figures of video files: the mean confidence, and the share of videos that chance does not explain."""

from collections.abc import Sequence

from mtv_jax.evaluation.metrics.base import Measured, video_mean, video_metric
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.evaluation.syncsynth.figures import SIGNIFICANT


def _figures(rows: Sequence[Measured]) -> list[Figure]:
    significant = [(row.group, float(row.values["p"] < SIGNIFICANT)) for row in rows]
    return [
        *video_mean("sync.confidence", [(row.group, row.values["score"]) for row in rows]),
        *video_mean("sync.significant", significant),
    ]


SYNCSYNTH = video_metric(_figures)
