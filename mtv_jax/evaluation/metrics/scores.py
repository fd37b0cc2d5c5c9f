"""Metrics that are the mean of one number of each video."""

from dataclasses import dataclass

from mtv_jax.evaluation.metrics.base import RowMetric, mean_figure


@dataclass(frozen=True)
class Score:
    """The score of one video; intervals draw videos of one `group`, such as those of a prompt, together."""

    id: str
    group: int
    value: float


def mean_score(identifier: str) -> RowMetric[Score, Score]:
    """The metric whose figure, the claim `identifier`, is the mean score of videos."""
    return RowMetric(
        lambda score: score.id,
        lambda score: score,
        lambda scores: mean_figure(identifier, [(score.group, score.value) for score in scores]),
    )
