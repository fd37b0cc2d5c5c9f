"""Krippendorff's alpha: the published example, closed forms, and a test against chance."""

import math

import numpy as np
import pytest

from mtv_jax.evaluation.study.agreement import agreement, alpha, count_values

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section E; 0 is a missing answer.
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815)])
def test_alpha_of_the_published_example(level, published):
    found = agreement(EXAMPLE - 1, 5, level)
    assert found.alpha is not None
    assert found.alpha == pytest.approx(published, abs=5e-4)
    assert found.units == 11  # the last is answered once
    assert found.interval[0] < found.alpha <= found.interval[1]
    assert found.p == 0.001  # the least of 999 permutations


def test_two_participants_who_agree_on_all_but_one_of_ten():
    # Of 20 answers 9 are 1: alpha = 1 - 19 * 2 / (2 * 11 * 9).
    a = np.array([0] * 5 + [1] * 5)
    b = np.array([0] * 6 + [1] * 4)
    found = alpha(count_values(np.stack([a, b]), 2), "nominal")
    assert found == pytest.approx(1 - 19 / 99)
    assert alpha(count_values(np.stack([a, a]), 2), "nominal") == 1
    assert alpha(count_values(np.stack([a, 1 - a]), 2), "nominal") == pytest.approx(1 - 19 * 20 / 200)


def test_an_order_makes_far_answers_worse_than_near_ones():
    near, far = np.array([[0, 1, 2, 3], [1, 1, 2, 3]]), np.array([[0, 1, 2, 3], [3, 1, 2, 3]])
    assert alpha(count_values(near, 4), "ordinal") > alpha(count_values(far, 4), "ordinal")


def test_answers_at_random_do_not_agree():
    found = agreement(np.random.default_rng(3).integers(0, 4, (6, 30)), 4, "nominal")
    assert abs(found.alpha) < 0.1
    assert found.p > 0.05


def test_it_is_undefined_without_pairs_or_without_two_values():
    assert math.isnan(alpha(count_values(np.array([[0, 1, -1], [-1, -1, 2]]), 3), "nominal"))
    same = agreement(np.ones((3, 4), np.int64), 3, "ordinal")
    assert (same.alpha, same.interval, same.p, same.units) == (None, None, None, 4)
