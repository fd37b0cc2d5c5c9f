"""Metrics that are the mean of one number of each video."""

from mtv_jax.evaluation.metrics.base import Measured, RowMetric, video_mean, video_metric


def mean_score(identifier: str) -> RowMetric[Measured, Measured]:
    """The metric whose figure, the claim `identifier`, is the mean of the videos' value `score`."""
    return video_metric(
        lambda rows: video_mean(identifier, [(row.group, row.values["score"]) for row in rows])
    )
