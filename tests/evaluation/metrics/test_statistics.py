"""Figures and their intervals, on numbers whose answer is known."""

import numpy as np
import pytest

from mtv_jax.evaluation.metrics.statistics import (
    bootstrap_of,
    correlation,
    f1_score,
    lagged_correlation,
    rank_correlation,
)


def test_correlations():
    x = np.arange(6.0)
    assert correlation(x, 3 - 2 * x) == pytest.approx(-1)
    assert correlation(x, np.ones(6)) == 0.0
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
    # By hand: ranks 1.5, 1.5, 3 against 1, 2, 3.
    assert rank_correlation([5, 5, 9], [1, 2, 3]) == pytest.approx(np.sqrt(3) / 2)


@pytest.mark.parametrize("lag", [-2, 0, 2])
def test_a_series_that_is_late_correlates_at_its_lag(lag):
    base = np.random.default_rng(0).normal(size=40)
    late = np.roll(base, lag)
    assert lagged_correlation(late, base, lag) == pytest.approx(1)
    assert abs(lagged_correlation(late, base, lag + 1)) < 0.4


def test_f1_of_nothing_is_right_only_if_nothing_was_there():
    assert f1_score(0, 0, 0) == 1.0
    assert f1_score(0, 3, 0) == 0.0
    assert f1_score(2, 3, 2) == pytest.approx(0.8)


def mean(numbers):
    return lambda picks: float(numbers[picks].mean())


def test_intervals_hold_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        low, high = bootstrap_of(mean(rng.normal(2.0, 1.0, 60)), range(60)) or (0.0, 0.0)
        held += low <= 2.0 <= high
    assert 85 <= held <= 100
    assert bootstrap_of(lambda picks: 1.0, range(1)) is None
    assert bootstrap_of(lambda picks: 1.0, range(5)) == [1.0, 1.0]


def test_values_of_a_group_are_drawn_together():
    values = np.random.default_rng(2).normal(size=20)
    repeated, groups = np.tile(values, 3), list(range(20)) * 3
    assert bootstrap_of(mean(repeated), groups) == pytest.approx(bootstrap_of(mean(values), range(20)))
    assert bootstrap_of(mean(repeated), [0] * 60) is None
