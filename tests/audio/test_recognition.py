"""Words are scored for a sound by CLAP: what is compared, how a choice is made, and what is refused."""

import json
import shutil

import numpy as np
import pytest

from mtv_jax.audio import recognition
from mtv_jax.audio.recognition import ClapEncoder, load_clap, propose_sources, score_words
from mtv_jax.io.errors import UserError
from mtv_jax.models.clap import ClapText
from tests.clap_folders import write_clap

RATE = 8000
WORDS = ["dog barking", "cat meowing", "rain"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clap(tmp_path_factory.mktemp("recognition") / "clap")


@pytest.fixture(scope="module")
def clap(folder):
    return load_clap(folder)


@pytest.fixture(scope="module")
def sound():
    """Two seconds of stereo, whose second half is another sound."""
    rng = np.random.default_rng(0)
    tone = 0.3 * np.sin(np.arange(RATE) * 0.3)[:, None]
    return np.concatenate([tone.repeat(2, 1), 0.2 * rng.normal(size=(RATE, 2))]).astype(np.float32)


def test_texts_have_unit_length_and_do_not_depend_on_their_company(clap):
    together = clap.text_embeddings(WORDS)
    assert together.shape == (3, clap.text_config.projection_dim)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(clap.text_embeddings(WORDS[2:]), together[2:], atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_a_word_has_the_cosine_of_the_window_where_it_is_heard_best(clap, sound):
    texts = clap.text_embeddings(WORDS)
    halves = [clap.audio_embeddings(half, RATE) for half in np.split(sound, 2)]
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(halves), axis=1), 1, atol=1e-6)
    want = np.max([(half @ texts.T)[0] for half in halves], axis=0)
    found = score_words(clap, sound, RATE, [*WORDS, WORDS[0]])
    assert list(found) == WORDS
    np.testing.assert_allclose(list(found.values()), want, atol=1e-6)


def test_channels_are_averaged_and_any_rate_is_taken(clap, sound):
    mono = clap.audio_embeddings(sound[:RATE].mean(1, keepdims=True), RATE)
    np.testing.assert_allclose(clap.audio_embeddings(sound[:RATE], RATE), mono, atol=1e-6)
    twice = sound[:RATE].repeat(2, 0)
    assert clap.audio_embeddings(twice, 2 * RATE).shape == mono.shape


def test_words_above_an_equal_share_are_proposed(clap, sound, monkeypatch):
    cosines = {"rain": 0.1, "dog": 0.5, "cat": 0.45, "sea": -0.2}
    monkeypatch.setattr(recognition, "score_words", lambda *args: cosines)
    found = propose_sources(clap, sound, RATE, [*cosines])
    assert [proposal.word for proposal in found] == ["dog", "cat", "rain", "sea"]
    assert [proposal.chosen for proposal in found] == [True, True, False, False]
    assert [proposal.cosine for proposal in found] == [0.5, 0.45, 0.1, -0.2]
    weights = np.exp(np.array([0.5, 0.45, 0.1, -0.2]) / 0.07)  # the folder's scale
    np.testing.assert_allclose([proposal.share for proposal in found], weights / weights.sum(), rtol=1e-5)


def test_bad_requests_are_named(clap, sound):
    with pytest.raises(UserError, match="fewer than two different words"):
        propose_sources(clap, sound, RATE, ["rain", "rain"])
    with pytest.raises(UserError, match="no words"):
        score_words(clap, sound, RATE, [])
    with pytest.raises(UserError, match="one is blank"):
        score_words(clap, sound, RATE, ["rain", " "])
    with pytest.raises(UserError, match="not finite"):
        clap.audio_embeddings(np.full_like(sound, np.inf), RATE)
    with pytest.raises(UserError, match="without samples"):
        clap.audio_embeddings(sound[:0], RATE)
    with pytest.raises(UserError, match=r"text of \d+ tokens: this network takes at most 16"):
        clap.text_embeddings(["a very long text " * 9])
    half = ClapEncoder(ClapText(clap.text_config), clap.params, clap.tokenizer)
    np.testing.assert_allclose(half.text_embeddings(WORDS), clap.text_embeddings(WORDS), atol=1e-6)
    with pytest.raises(UserError, match="text half of CLAP hears no sounds"):
        half.audio_embeddings(sound, RATE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"truncation": "fusion"},
            r"preprocessor_config\.json: truncation fusion, 8 bands and 21 frames do not fit",
        ),
        ({"max_length_s": 2}, "41 frames do not fit the network, which takes rand_trunc, 8 and at most 32"),
        ({"padding": "repeat"}, "padding = 'repeat' is not supported"),
    ],
)
def test_spectrograms_that_do_not_fit_the_network_are_named(folder, tmp_path, changes, message):
    copy = shutil.copytree(folder, tmp_path / "clap")
    file = copy / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(UserError, match=message):
        load_clap(copy)
