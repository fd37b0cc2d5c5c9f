"""Agreement between participants: Krippendorff's alpha, and a permutation test against answers at random.

K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011. Alpha is 1 if all agree, 0 if they agree as often as
answers drawn from all answers would, and it allows for missing answers.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from mtv_jax.evaluation.metrics.statistics import bootstrap_of

Level = Literal["nominal", "ordinal"]
MISSING = -1
_PERMUTATIONS = 999

Answers = Int[np.ndarray, "participants units"]
"""Numbers of the values answered, from 0; `MISSING` where there is no answer."""
Counts = Int[np.ndarray, "units values"]


@dataclass(frozen=True)
class Agreement:
    """Agreement on a question.

    Attributes:
      alpha: None if no unit has two answers, or all answers are the same.
      interval: 95 %, by bootstrap over units; None if it is not known.
      p: of the hypothesis that answers do not depend on the unit: the share of permutations of each participant's
        answers over the units with at least this alpha.
      units: with two answers or more.
    """

    alpha: float | None
    interval: list[float] | None
    p: float | None
    units: int


def agreement(answers: Answers, values: int, level: Level) -> Agreement:
    """Agreement of participants who answered by one of `values` values for each unit.

    Args:
      answers: by participant and unit.
      level: "nominal": two values are the same or not; "ordinal": they have an order, in which they are more or less
        far apart.
    """
    counts = count_values(answers, values)
    units = int((counts.sum(axis=1) >= 2).sum())
    found = alpha(counts, level)
    if math.isnan(found):
        return Agreement(None, None, None, units)
    ends = bootstrap_of(lambda picks: alpha(counts[picks], level), range(len(counts)))
    if ends is not None and not np.isfinite(ends).all():
        ends = None
    return Agreement(found, ends, _p_value(answers, values, level, found), units)


def count_values(answers: Answers, values: int) -> Counts:
    """How often each value was answered for each unit."""
    return np.stack([(answers == value).sum(axis=0) for value in range(values)], axis=1)


def alpha(counts: Counts, level: Level) -> float:
    """Krippendorff's alpha; NaN if it is undefined, since there are no pairs of answers or no two values."""
    counts = counts[counts.sum(axis=1) >= 2].astype(np.float64)
    pairs = counts / (counts.sum(axis=1, keepdims=True) - 1)
    coincidences = pairs.T @ counts - np.diag(pairs.sum(axis=0))
    totals = coincidences.sum(axis=1)
    distance = _distances(totals, level)
    expected = totals @ distance @ totals
    if expected == 0:
        return math.nan
    return float(1 - (totals.sum() - 1) * (coincidences * distance).sum() / expected)


def _distances(totals: Float[np.ndarray, "values"], level: Level) -> Float[np.ndarray, "values values"]:
    """Squared distances of values, by the number of times that each occurs."""
    if level == "nominal":
        return 1.0 - np.eye(len(totals))
    # The distance of two ranks is the number of answers from the one to the other, with half of those at the ends.
    middle = np.cumsum(totals) - totals / 2
    return (middle[:, None] - middle[None, :]) ** 2


def _p_value(answers: Answers, values: int, level: Level, found: float) -> float:
    rng = np.random.default_rng(0)
    shuffled = answers.copy()
    there = [np.flatnonzero(row != MISSING) for row in answers]
    reached = 0
    for _ in range(_PERMUTATIONS):
        for row, places in zip(shuffled, there, strict=True):
            row[places] = rng.permutation(row[places])
        reached += alpha(count_values(shuffled, values), level) >= found - 1e-12
    return (1 + reached) / (1 + _PERMUTATIONS)
