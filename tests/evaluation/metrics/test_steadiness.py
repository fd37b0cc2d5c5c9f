"""Flicker, motion and warping error on pictures whose answers are known."""

import numpy as np
import pytest

from mtv_jax.evaluation.metrics.base import Measured, measured
from mtv_jax.evaluation.metrics.flicker import FLICKER, flicker
from mtv_jax.evaluation.metrics.motion import MOTION, mean_motion
from mtv_jax.evaluation.metrics.warping import WARPING, pair_error, sample, visible, warping_error
from mtv_jax.io.errors import UserError


@pytest.fixture(scope="module")
def texture():
    """Smooth noise in 60 to 190, which flow can follow."""
    cv2 = pytest.importorskip("cv2")
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(96, 128, 3)), (0, 0), 3)
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    return (60 + 130 * noise).astype(np.uint8)


def moving(texture, step: int, count: int = 4) -> np.ndarray:
    """A window that moves left over the texture, so that the picture moves right by `step` pixels a frame."""
    return np.stack([texture[16:80, 40 - step * i : 104 - step * i] for i in range(count)])


def test_flicker_is_the_mean_difference_of_neighbours():
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    assert flicker(frames) == 1
    frames[1] = 255
    assert flicker(frames) == 0
    frames[1], frames[2, :2] = 51, 51
    assert flicker(frames) == pytest.approx(1 - (0.2 + 0.1) / 2)
    with pytest.raises(UserError, match="video of 1 frames: flicker"):
        flicker(frames[:1])


def test_motion_is_how_far_pixels_go(texture):
    assert mean_motion(moving(texture, 0)) < 1e-2
    for step in (1, 3):
        assert mean_motion(moving(texture, step)) == pytest.approx(0.9 * step, rel=0.12)  # less at the edges
    with pytest.raises(UserError, match="video of 1 frames: motion"):
        mean_motion(moving(texture, 0, 1))


def test_a_change_of_brightness_is_an_error_of_its_square(texture):
    frames = np.stack([texture, texture + 10, texture + 40])
    assert warping_error(frames) == pytest.approx(((10 / 255) ** 2 + (30 / 255) ** 2) / 2, rel=1e-3)


def test_motion_is_no_error(texture):
    frames = moving(texture, 3)
    unwarped = np.mean((np.diff(frames.astype(float), axis=0) / 255) ** 2)
    assert warping_error(frames[[0, 0]]) < 1e-7
    assert warping_error(frames) < 0.1 * unwarped
    noise = np.random.default_rng(0).normal(0, 10, frames.shape)
    noisy = (frames + noise).clip(0, 255).astype(np.uint8)
    assert warping_error(noisy) == pytest.approx(2 * (10 / 255) ** 2, rel=0.4)


def test_pixels_are_visible_where_the_flow_returns_within_the_picture():
    pytest.importorskip("cv2")
    forward = np.zeros((4, 6, 2), np.float32)
    forward[..., 0] = 2
    assert visible(forward, -forward).tolist() == [[True] * 4 + [False] * 2] * 4
    backward = -forward
    backward[:, 3] = 1  # what pixel 1 leads to, is from elsewhere
    assert visible(forward, backward).tolist() == [[True, False, True, True, False, False]] * 4
    picture = np.arange(6, dtype=np.float32)[None, :, None].repeat(4, 0).repeat(2, 2)
    np.testing.assert_array_equal(sample(picture, forward)[0, :, 1], [2, 3, 4, 5, 5, 5])


def test_pairs_without_common_pixels_do_not_count(texture, monkeypatch):
    still = np.stack([texture, texture])
    lost = np.full((96, 128, 2), 200, np.float32)
    flows = [np.zeros_like(lost)] * 2 + [lost] * 2
    monkeypatch.setattr("mtv_jax.evaluation.metrics.warping.flow", lambda before, after: flows.pop(0))
    assert warping_error(np.stack([texture, texture + 10, texture])) == pytest.approx((10 / 255) ** 2)
    flows += [lost] * 4
    assert pair_error(*still) is None
    with pytest.raises(UserError, match="no pixel of a frame is found again"):
        warping_error(still)
    with pytest.raises(UserError, match="video of 1 frames: warping"):
        warping_error(still[:1])


@pytest.mark.parametrize(
    ("metric", "identifier"),
    [(FLICKER, "flicker.score"), (MOTION, "motion.flow"), (WARPING, "warping.error")],
)
def test_figures_are_means(metric, identifier):
    (figure,) = measured(metric, [Measured("a", 0, {"score": 0.25}), Measured("b", 1, {"score": 0.75})])
    assert (figure.id, figure.value, figure.n) == (identifier, 0.5, 2)
