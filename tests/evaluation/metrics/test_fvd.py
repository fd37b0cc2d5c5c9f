"""FVD: closed forms, scipy's root of a matrix, the curve over parts, and what is kept of a video."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from mtv_jax.evaluation.metrics.base import Measured, measured
from mtv_jax.evaluation.metrics.fvd import FVD, features, frechet_distance, interval, subsampled
from mtv_jax.io.errors import UserError


def vectors(count, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)) * np.arange(1, width + 1)


def test_a_set_is_not_distant_from_itself():
    assert frechet_distance(vectors(50), vectors(50)[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(vectors(5, 40), vectors(5, 40)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("count", [4, 50])
def test_a_shift_is_its_square(count):
    shift = np.arange(6.0)
    assert frechet_distance(vectors(count), vectors(count) + shift) == pytest.approx(shift @ shift)


def test_of_diagonal_covariances_it_is_the_distance_of_the_deviations():
    """Columns that are orthogonal have exactly diagonal covariances."""
    columns = np.linalg.qr(vectors(30) - vectors(30).mean(0))[0] * np.sqrt(29)
    columns -= columns.mean(0)
    a, b = np.arange(1.0, 7), np.array([2.0, 2, 1, 9, 5, 0])
    assert frechet_distance(columns * a, columns * b) == pytest.approx(np.square(a - b).sum())


@pytest.mark.parametrize(("n", "m", "ddof"), [(40, 25, 1), (40, 25, 0), (9, 200, 1)])
def test_agrees_with_the_formula_by_scipy(n, m, ddof):
    a, b = vectors(n), 1 + vectors(m, seed=1) @ vectors(6, seed=2) / 6
    s, t = (np.cov(x.T, ddof=ddof) for x in (a, b))
    means = np.square(a.mean(0) - b.mean(0)).sum()
    expected = means + np.trace(s + t - 2 * np.real(np.asarray(sqrtm(s @ t))))
    assert frechet_distance(a, b, ddof) == pytest.approx(expected, rel=1e-9)


def test_fewer_vectors_than_dimensions_are_exact():
    """In a space that both sets span the covariances are regular, and the distance is the same."""
    a, b = vectors(6, 300), vectors(8, 300, seed=1)
    basis = np.linalg.qr(np.concatenate([a, b]).T)[0]
    x, y = a @ basis, b @ basis
    s, t = np.cov(x.T), np.cov(y.T)
    small = 1e-9 * np.eye(len(s))
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(s + t)
    expected -= 2 * np.trace(np.real(np.asarray(sqrtm((s + small) @ (t + small)))))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)


def test_one_vector_has_no_covariance():
    with pytest.raises(ValueError, match="1 and 9 vectors: at least 2 of each are needed"):
        frechet_distance(vectors(1), vectors(9))


def test_fewer_videos_are_farther_apart():
    a, b = vectors(64), vectors(64, seed=1)
    means = [frechet_distance(a, b), *(subsampled(a, b, divisor).mean() for divisor in (2, 4, 8))]
    assert means == sorted(means)
    assert means[-1] > 4 * means[0]
    assert len(subsampled(a[:15], b, 8)) == 0


def test_parts_are_drawn_without_replacement():
    """The whole of a set is at no distance from itself, in whatever order it is drawn."""
    np.testing.assert_allclose(subsampled(vectors(12), vectors(12), 1), 0, atol=1e-9)


@pytest.mark.slow
def test_the_interval_covers_as_often_as_it_says():
    """How often it holds the mean distance at this number of videos, over draws of both sets."""
    draws = []
    for seed in range(60):
        a, b = vectors(32, 3, seed), 1.5 + vectors(32, 3, 1000 + seed)
        value = frechet_distance(a, b)
        draws.append((value, interval(value, subsampled(a, b, 2))))
    mean = np.mean([value for value, _ in draws])
    assert np.mean([low <= mean <= high for _, (low, high) in draws]) > 0.8
    assert interval(1.0, np.zeros(0)) is None


def videos(count, is_reference, seed=0, frames=16):
    return [
        Measured(f"v{number}", number, {"logits": row.tolist(), "frames": frames}, is_reference)
        for number, row in enumerate(vectors(count, seed=seed))
    ]


def test_a_result_has_numbers_of_videos_and_frames_and_the_curve():
    samples = videos(16, False) + videos(20, True, 1)
    figures = {figure.id.removeprefix("fvd.i3d_k400"): figure for figure in measured(FVD, samples)}
    assert list(figures) == ["", "_a_half", "_a_quarter", "_an_eighth", "_frames"]
    assert [figure.n for figure in figures.values()] == [16, 8, 4, 2, 36]
    whole = figures[""]
    assert whole.value == pytest.approx(frechet_distance(vectors(16), vectors(20, seed=1)))
    assert whole.interval is not None
    assert sorted([*whole.interval, whole.value])[1] == whole.value
    values = [figures[part].value or 0 for part in ("", "_a_half", "_an_eighth")]
    assert values == sorted(values)
    assert figures["_frames"].value == 16
    assert whole.note.startswith("20 reference videos; 16 frames; covariances over N - 1")


def test_figures_do_not_depend_on_the_order():
    samples = videos(5, False) + videos(4, True, 1)
    state = FVD.empty()
    for sample in reversed(samples):
        state = FVD.merge(FVD.update(FVD.empty(), sample), state)
    assert FVD.compute(state) == measured(FVD, samples)


def test_without_a_reference_there_is_no_distance():
    assert measured(FVD, videos(5, False) + videos(1, True)) == []


def test_features_are_the_network_s_logits_of_scaled_frames():
    clips = np.zeros((2, 9, 30, 40, 3), np.uint8)
    clips[1] = 255
    seen = []

    def logits(frames):
        seen.append(frames.shape)
        return frames.mean((1, 2, 3))

    np.testing.assert_allclose(features(clips, logits), [[-1] * 3, [1] * 3])
    assert seen == [(2, 9, 224, 224, 3)]
    with pytest.raises(UserError, match="a video of 8 frames: FVD needs 9"):
        features(clips[:, :8], logits)
    with pytest.raises(UserError, match="not finite"):
        features(clips, lambda frames: np.full((2, 3), np.nan))
