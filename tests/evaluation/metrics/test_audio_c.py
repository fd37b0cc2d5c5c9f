"""Audio-C and IA: known answers, and the whole way from frames and sound on a small network."""

import numpy as np
import pytest
from random_weights import random_weights

from mtv_jax.evaluation.imagebind import frame_embeddings, sound_embedding, variant, video_embedding
from mtv_jax.evaluation.metrics.audio_c import AUDIO_C, audio_c, fit
from mtv_jax.evaluation.metrics.base import Measured, measured
from mtv_jax.evaluation.metrics.ia import IA, agreement, ia
from mtv_jax.io.errors import UserError
from mtv_jax.models.imagebind import ImageBind, ImageBindConfig

RATE = 16_000


@pytest.mark.parametrize(
    ("sound", "score"), [([3, 4], 100), ([-6, -8], -100), ([4, -3], 0), ([0, 20], 80), ([1, 0], 60)]
)
def test_audio_c_is_the_cosine_in_percent(sound, score):
    assert fit(np.array([3.0, 4.0]), np.array(sound, float)) == pytest.approx(score, abs=1e-9)


def test_ia_is_the_mean_cosine_of_frames():
    frames = np.array([[1.0, 0.0], [0.0, 5.0], [-2.0, 0.0], [3.0, 4.0]])
    assert agreement(frames, np.array([20.0, 0.0])) == pytest.approx((1 + 0 - 1 + 0.6) / 4)
    with pytest.raises(UserError, match="no direction"):
        agreement(frames, np.zeros(2))


@pytest.fixture(scope="module")
def network():
    model = ImageBind(ImageBindConfig.tiny())
    return model, random_weights(model)


@pytest.fixture(scope="module")
def clip():
    """Three seconds at 8 frames a second, whose two channels of sound differ."""
    rng = np.random.default_rng(0)
    sound = np.stack([np.sin(np.arange(3 * RATE) / 8), rng.normal(0, 0.1, 3 * RATE)], axis=1)
    return rng.integers(0, 256, (24, 12, 20, 3), np.uint8), sound.astype(np.float32)


def test_a_video_is_compared_with_its_sound(network, clip):
    frames, sound = clip
    video, heard = video_embedding(frames, 8.0, *network), sound_embedding(sound, RATE, *network)
    score = audio_c(frames, 8.0, sound, RATE, *network)
    assert score == pytest.approx(fit(video, heard))
    assert -100 < score < 100
    other = sound_embedding(sound[:, ::-1].copy(), RATE, *network)
    assert np.abs(other - heard).max() > 1e-3
    assert fit(video, other) != pytest.approx(score, abs=1e-3)


def test_every_frame_counts_alike_in_ia(network, clip):
    frames, sound = clip
    parts = [ia(part, sound, RATE, *network) for part in (frames[:6], frames[6:])]
    assert ia(frames, sound, RATE, *network) == pytest.approx(np.average(parts, weights=[6, 18]), abs=1e-6)
    assert frame_embeddings(frames[:3], *network).shape == (3, 8)


@pytest.mark.parametrize(("metric", "identifier"), [(AUDIO_C, "audio_c.score"), (IA, "ia.score")])
def test_figures_draw_videos_of_a_group_together(metric, identifier):
    (figure,) = measured(metric, [Measured(f"{i}", i // 2, {"score": float(i)}) for i in range(6)])
    assert (figure.id, figure.value, figure.n) == (identifier, pytest.approx(2.5), 6)
    assert figure.interval is not None
    assert measured(metric, []) == []


def test_results_are_named_after_the_network():
    assert variant("audio_c", ImageBindConfig.huge()) == "audio_c_imagebind_huge"
    assert variant("ia", ImageBindConfig.tiny()) == "ia_imagebind_16x2_8x2"
