"""A suite that was stopped makes only what is missing."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

from mtv_jax.evaluation.report.resume import resumable


@pytest.fixture
def asked():
    """Cases that `show` was asked for, call by call."""
    return []


@pytest.fixture
def show(asked):
    def make(cases):
        asked.append(list(cases))
        return (np.full((2, 4, 4, 3), case, np.uint8) for case in cases)

    return make


CASES: Any = [3, 1, 4, 1, 5]
"""A resumable generator does not look into its cases."""


def stop_after(show, folder, origin, count):
    return list(islice(resumable(show, folder, origin)(CASES), count))


def test_what_was_made_before_is_not_made_again(show, asked, tmp_path):
    stop_after(show, tmp_path / "kept", {"steps": 8}, 3)
    frames = list(resumable(show, tmp_path / "kept", {"steps": 8})(CASES))
    assert [int(video[0, 0, 0, 0]) for video in frames] == CASES
    assert all(video.dtype == np.uint8 and video.shape == (2, 4, 4, 3) for video in frames)
    assert asked == [CASES, CASES[3:]]
    assert [int(v[0, 0, 0, 0]) for v in resumable(show, tmp_path / "kept", {"steps": 8})(CASES)] == CASES
    assert asked[2] == []


def test_of_another_origin_nothing_is_taken(show, asked, tmp_path):
    stop_after(show, tmp_path / "kept", {"steps": 8}, 4)
    list(resumable(show, tmp_path / "kept", {"steps": 9})(CASES))
    assert asked == [CASES, CASES]


def test_a_generator_that_makes_too_few_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        list(resumable(lambda cases: iter([]), tmp_path / "kept", {})(CASES))
