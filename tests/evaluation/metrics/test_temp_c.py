"""Temp-C: known answers, and the whole way from frames on a small network."""

from dataclasses import asdict

import numpy as np
import pytest

from mtv_jax.evaluation.batches import in_batches
from mtv_jax.evaluation.metrics.base import Measured, measured
from mtv_jax.evaluation.metrics.cosine import cosines
from mtv_jax.evaluation.metrics.temp_c import (
    TEMP_C,
    Continuity,
    continuity,
    frame_features,
    temp_c,
    variant,
)
from mtv_jax.io.errors import UserError
from mtv_jax.models.clip import CLIP, CLIP_MEAN, CLIP_STD, CLIPConfig


@pytest.mark.parametrize(
    ("features", "score"),
    [
        ([[1, 2], [2, 4], [3, 6]], 100),
        ([[1, 0], [0, 1], [1, 0]], 0),
        ([[1, 0], [-1, 0]], -100),
        ([[1, 0], [1, 1], [0, 1]], 100 / 2**0.5),
        ([[1, 0], [1, 0], [0, 1]], 50),
    ],
)
def test_known_answers(features, score):
    assert continuity(np.array(features, np.float32)) == pytest.approx(score)


@pytest.mark.parametrize(("bad", "message"), [(np.nan, "not all are finite"), (0, "all zeros")])
def test_features_without_direction_are_refused(bad, message):
    with pytest.raises(UserError, match=message):
        cosines(np.array([[1.0, 2.0], [bad, bad]]), np.ones((2, 2)))


class MeanColour(CLIP):
    """Stands for CLIP: the features of a picture are its mean colour, as normalised."""

    def setup(self):
        """Without parameters."""

    def image_features(self, pixels):
        return pixels.mean((1, 2))


@pytest.fixture(scope="module")
def network():
    return MeanColour(CLIPConfig.tiny()), {}


def test_a_video_is_scored_by_all_its_neighbours(network):
    colours = np.random.default_rng(0).integers(0, 256, (6, 3), np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (6, 30, 40, 3)).copy()
    features = (colours / 255 - CLIP_MEAN) / CLIP_STD
    a, b = features[:-1], features[1:]
    want = 100 * np.mean((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))
    found = temp_c(frames, *network, batch=4)
    assert (found.score, found.frames, found.frozen) == (pytest.approx(want, abs=1e-3), 6, False)
    np.testing.assert_allclose(frame_features(frames, *network, batch=4), features, atol=1e-5)


def test_a_frozen_video_scores_100(network):
    noise = np.random.default_rng(0).integers(0, 256, (1, 30, 40, 3), np.uint8)
    found = temp_c(noise.repeat(5, 0), *network, batch=4)
    assert (found.score, found.frames, found.frozen) == (pytest.approx(100), 5, True)


def test_one_frame_has_no_neighbour(network):
    with pytest.raises(UserError, match="video of 1 frames: .* at least 2"):
        temp_c(np.zeros((1, 30, 40, 3), np.uint8), *network)


def test_batches_are_of_one_size_and_keep_the_order():
    sizes = []

    def double(batch):
        sizes.append(len(batch))
        return 2 * batch

    np.testing.assert_array_equal(in_batches(double, np.arange(7), 3), 2 * np.arange(7))
    assert sizes == [3, 3, 3]


def test_figures_draw_videos_of_a_group_together_and_count_frozen_ones():
    scores = [Measured(f"{i}", i // 2, asdict(Continuity(90 + i, 49, i == 5))) for i in range(6)]
    score, frozen = measured(TEMP_C, scores)
    assert (score.value, score.n) == (pytest.approx(92.5), 6)
    assert score.interval is not None
    assert (frozen.value, frozen.n) == (1, 6)
    assert measured(TEMP_C, []) == []


def test_results_are_named_after_the_network():
    names = [variant(make()) for make in (CLIPConfig.vit_b32, CLIPConfig.vit_l14, CLIPConfig.tiny)]
    assert names == ["temp_c_clip_vit_b32", "temp_c_clip_vit_l14", "temp_c_clip_32x2_p7_28"]
