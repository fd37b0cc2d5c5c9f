"""Text-C: known answers, and the whole way from frames and a text on a small network."""

import gzip
from dataclasses import asdict

import numpy as np
import pytest

from mtv_jax.evaluation.metrics.base import Measured, measured
from mtv_jax.evaluation.metrics.text_c import TEXT_C, Likeness, likeness, text_c, variant
from mtv_jax.io.errors import UserError
from mtv_jax.models.videoclip_xl import VideoCLIPXL, VideoCLIPXLConfig
from mtv_jax.text.clip_tokenizer import load_clip_tokenizer

A = 256 + ord("a") - 33
"""The id of the word `a`."""


@pytest.mark.parametrize(
    ("text", "score"), [([0, 3.0], 100), ([2.0, 0], 0), ([0, -1.0], -100), ([1, 1], 70.71)]
)
def test_known_answers(text, score):
    assert likeness(np.array([[0, 2.0]]), np.array([text], np.float64)) == pytest.approx(score, abs=0.001)


class Red(VideoCLIPXL):
    """Stands for VideoCLIP-XL: features are the mean red of each frame, and how often `a` stands in each quarter."""

    def video_features(self, pixels):
        return pixels[..., 0].mean((2, 3))

    def text_features(self, tokens):
        return (tokens == A).astype(np.float32).reshape(len(tokens), 4, -1).sum(-1)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """With a vocabulary of one merge."""
    pytest.importorskip("cv2")
    pytest.importorskip("ftfy")
    path = tmp_path_factory.mktemp("merges") / "bpe.txt.gz"
    path.write_bytes(gzip.compress(b"#\na t</w>\n"))
    return Red(VideoCLIPXLConfig.tiny()), {}, load_clip_tokenizer(path)


def test_a_video_is_compared_with_its_text(network):
    red = np.array([250, 0, 0, 10, 0, 0, 90, 0, 0, 7, 7, 7], np.uint8)
    frames = np.broadcast_to(red[:, None, None, None], (12, 30, 40, 3)).copy()
    video = (red[[0, 3, 6, 9]] / 255 - 0.485) / 0.229
    # Of 24 tokens the first is the start; then 8 words, of which the first and the last three are `a`.
    text = np.array([1, 3, 0, 0])
    found = text_c(frames, "a at at at at a a a", *network)
    want = 100 * video @ text / np.linalg.norm(video) / np.linalg.norm(text)
    assert found.score == pytest.approx(want, abs=1e-3)
    assert not found.repeated
    assert not found.cut


def test_repeated_frames_and_cut_texts_are_marked(network):
    frames = np.zeros((3, 30, 40, 3), np.uint8)
    found = text_c(frames, "a " * 23, *network)
    assert found.repeated
    assert found.cut
    found = text_c(frames[[0, 1, 2, 2]], "a " * 22, *network)
    assert not found.repeated
    assert not found.cut


def test_an_empty_text_is_refused(network):
    with pytest.raises(UserError, match="text: is empty"):
        text_c(np.zeros((4, 30, 40, 3), np.uint8), " \n", *network)


def test_figures_count_repeated_frames_and_cut_texts():
    rows = [Likeness(20.0, True, False), Likeness(30.0, False, True), Likeness(25.0, False, True)]
    score, repeated, cut = measured(TEXT_C, [Measured(str(i), i, asdict(row)) for i, row in enumerate(rows)])
    assert (score.id, score.value, score.n) == ("text_c.score", pytest.approx(25), 3)
    assert (repeated.id, repeated.value, repeated.n) == ("text_c.repeated", 1, 3)
    assert (cut.id, cut.value, cut.n) == ("text_c.cut", 2, 3)
    assert measured(TEXT_C, []) == []


def test_results_are_named_after_the_network():
    assert variant(VideoCLIPXLConfig.xl()) == "text_c_videoclip_xl"
    assert variant(VideoCLIPXLConfig.tiny()) == "text_c_videoclip_xl_32x2_p14"
