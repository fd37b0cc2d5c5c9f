"""Text-C: known answers, and the whole way from frames and a text on a small network."""

import gzip
from dataclasses import replace

import numpy as np
import pytest
from random_weights import random_weights

from mtv_jax.evaluation.metrics import text_c as text_c_module
from mtv_jax.evaluation.metrics.base import measured
from mtv_jax.evaluation.metrics.text_c import TEXT_C, Likeness, Scored, likeness, text_c, variant
from mtv_jax.io.errors import UserError
from mtv_jax.models.videoclip_xl import VideoCLIPXL, VideoCLIPXLConfig, video_pixels
from mtv_jax.text.clip_tokenizer import load_clip_tokenizer


@pytest.mark.parametrize(
    ("text", "score"), [([0, 3.0], 100), ([2.0, 0], 0), ([0, -1.0], -100), ([1, 1], 70.71)]
)
def test_known_answers(text, score):
    assert likeness(np.array([[0, 2.0]]), np.array([text], np.float64)) == pytest.approx(score, abs=0.001)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network of the smallest size and all tokens of a vocabulary of one merge."""
    pytest.importorskip("cv2")
    pytest.importorskip("ftfy")
    path = tmp_path_factory.mktemp("merges") / "bpe.txt.gz"
    path.write_bytes(gzip.compress(b"#\na t</w>\n"))
    config = VideoCLIPXLConfig.tiny()
    config = replace(config, text=replace(config.text, vocab_size=515))
    model = VideoCLIPXL(config)
    return model, random_weights(model), load_clip_tokenizer(path)


def test_a_video_is_compared_with_its_text(network):
    model, params, tokenizer = network
    frames = np.random.default_rng(0).integers(0, 256, (9, 30, 40, 3), np.uint8)
    found = text_c(frames, "at a time", *network)
    tokens, _ = tokenizer.encode(["at a time"], 24)
    pixels = video_pixels(frames, 4, 28)
    want = likeness(
        text_c_module._video_features(model, params, pixels[None]),
        text_c_module._text_features(model, params, tokens),
    )
    assert found == Likeness(want, False, False)


def test_repeated_frames_and_cut_texts_are_marked(network):
    frames = np.zeros((3, 30, 40, 3), np.uint8)
    found = text_c(frames, "at " * 23, *network)
    assert found.repeated
    assert found.cut
    assert not text_c(frames[[0, 1, 2, 2]], "at " * 22, *network).cut


def test_an_empty_text_is_refused(network):
    with pytest.raises(UserError, match="text: is empty"):
        text_c(np.zeros((4, 30, 40, 3), np.uint8), " \n", *network)


def test_figures_count_repeated_frames_and_cut_texts():
    rows = [Likeness(20.0, True, False), Likeness(30.0, False, True), Likeness(25.0, False, True)]
    score, repeated, cut = measured(TEXT_C, [Scored(str(i), i, row) for i, row in enumerate(rows)])
    assert (score.id, score.value, score.n) == ("text_c.score", pytest.approx(25), 3)
    assert (repeated.id, repeated.value, repeated.n) == ("text_c.repeated", 1, 3)
    assert (cut.id, cut.value, cut.n) == ("text_c.cut", 2, 3)
    assert measured(TEXT_C, []) == []


def test_results_are_named_after_the_network():
    assert variant(VideoCLIPXLConfig.xl()) == "text_c_videoclip_xl"
    assert variant(VideoCLIPXLConfig.tiny()) == "text_c_videoclip_xl_32x2_p14"
