"""The Frechet distance against that of the public package cd-fvd, a port of TensorFlow's."""

import os

import numpy as np
import pytest

from mtv_jax.evaluation.metrics.fvd import frechet_distance

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
original = pytest.importorskip(
    "cdfvd.third_party.i3d.utils", reason="needs pip install --no-deps cd-fvd==0.1.1"
).frechet_distance

RNG = np.random.default_rng(int(os.environ.get("MTV_JAX_SEED", "0")))


def vectors(count: int, width: int, rank: int | None = None) -> np.ndarray:
    """Correlated vectors around some mean; of a subspace if `rank` is given."""
    mixed = RNG.normal(size=(rank or width, width)) / width**0.5
    return RNG.normal(size=(count, rank or width)) @ mixed + RNG.normal(size=width)


@pytest.mark.parametrize(("n", "m", "width"), [(200, 150, 12), (64, 300, 40), (50, 50, 49), (500, 450, 400)])
def test_of_more_vectors_than_dimensions(n, m, width):
    a, b = vectors(n, width), vectors(m, width)
    expected = float(original(torch.from_numpy(a), torch.from_numpy(b)))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "m", "width"), [(16, 50, 400), (50, 16, 400), (50, 50, 400)])
def test_of_fewer_vectors_than_dimensions(n, m, width):
    """Covariances are singular. The original leaves singular values below 1e-10 as they are, which adds up to 1e-8."""
    a, b = vectors(n, width), 3 + vectors(m, width)
    expected = float(original(torch.from_numpy(a), torch.from_numpy(b)))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)


def test_of_identical_sets_both_are_nothing():
    a = vectors(30, 100)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert float(original(torch.from_numpy(a), torch.from_numpy(a))) == pytest.approx(0, abs=1e-3)
