"""Metrics: the order of samples and of merges does not matter, and no sample counts twice."""

import functools

import numpy as np
import pytest

from mtv_jax.evaluation.metrics import statistics
from mtv_jax.evaluation.metrics.av_align import AV_ALIGN
from mtv_jax.evaluation.metrics.base import Measured, RowMetric, mean_figure, measured
from mtv_jax.evaluation.syncsynth import Heard, sync_metric
from mtv_jax.evaluation.theatre.cases import performed, see, variants
from mtv_jax.evaluation.theatre.readers import fitting_clips, readers_of
from mtv_jax.evaluation.theatre.suite import METRICS
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreConfig, render_clip


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(statistics, "_RESAMPLES", 20)


def rng():
    return np.random.default_rng(0)


@functools.cache
def theatre_samples():
    readers = readers_of(fitting_clips(24))
    stage = TheatreConfig(height=32, width=32, num_frames=9)
    clips = [render_clip(EVALUATION_SEEDS, index, stage) for index in range(6)]
    return [
        {name: see(readers, case, performed(case)) for name, case in cases.items()}
        for cases in variants(clips, seed=0)
    ]


def scores():
    values = rng().uniform(size=9)
    return [
        Measured(
            f"{number}", number // 2, {"score": float(value), "onsets": number, "peaks": 0, "matches": 0}
        )
        for number, value in enumerate(values)
    ]


def heard():
    walks = rng().standard_normal((2, 4, 3, 12, 5)).astype(np.float32)
    return [
        Heard(clip, *walks[spoken, clip], seed=0, spoken=bool(spoken))
        for spoken in range(2)
        for clip in range(4)
    ]


METRIC_SAMPLES = {
    "av_align": lambda: (AV_ALIGN, scores()),
    "sync": lambda: (sync_metric(rng().standard_normal((9, 12, 5)).astype(np.float32)), heard()),
    **{f"theatre {n}": lambda m=metric: (m, theatre_samples()) for n, metric in enumerate(METRICS)},
}


def state_of(metric, samples):
    return functools.reduce(metric.update, samples, metric.empty())


@pytest.mark.parametrize("name", METRIC_SAMPLES)
def test_neither_the_order_of_samples_nor_that_of_merges_matters(name):
    metric, samples = METRIC_SAMPLES[name]()
    whole = metric.compute(state_of(metric, samples))
    assert whole
    assert metric.compute(state_of(metric, samples[::-1])) == whole
    a, b, c = (state_of(metric, samples[start::3]) for start in range(3))
    merge, before = metric.merge, dict(a)
    for merged in (merge(merge(a, b), c), merge(a, merge(b, c)), merge(c, merge(b, a))):
        assert metric.compute(merged) == whole
    assert merge(metric.empty(), a) == a == before  # merging changed neither


def test_a_sample_counts_once():
    first, *_ = scores()
    state = AV_ALIGN.update(AV_ALIGN.empty(), first)
    for twice in (lambda: AV_ALIGN.update(state, first), lambda: AV_ALIGN.merge(state, state)):
        with pytest.raises(ValueError, match="twice"):
            twice()
    assert state == {(False, "0"): first}


def test_samples_that_are_not_measured_leave_no_row():
    metric: RowMetric[int, int] = RowMetric(
        lambda x: x,
        lambda x: x if x > 0 else None,
        lambda rows: mean_figure("lips.opening_error", [(x, x) for x in rows]),
    )
    assert measured(metric, [-1, -2]) == []
    (figure,) = measured(metric, [3, -1, 1])
    assert (figure.value, figure.n) == (2.0, 2)
