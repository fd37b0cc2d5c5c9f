"""Separation by words: AudioSep with small networks, what comes in and out, and how it fails."""

import importlib.util
import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest
from maestro_folders import write_letters

from mtv_jax import save_model
from mtv_jax.audio.separation.base import Separator
from mtv_jax.audio.separation.by_text import audiosep
from mtv_jax.audio.separation.by_text.audiosep import AudioSep, windows
from mtv_jax.audio.separation.by_text.base import SeparatorByText, relative_levels
from mtv_jax.audio.separation.by_text.sam_audio import SAMAudio
from mtv_jax.audio.separation.separators import find_separator
from mtv_jax.io.errors import UserError
from mtv_jax.io.levels import FLOOR_DBFS
from mtv_jax.models.clap import ClapText, ClapTextConfig
from mtv_jax.models.resunet import AudioSepResUNet, ResUNetConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.names import TRACKS

WORDS = ["ab", "c"]


@pytest.mark.parametrize("length", [1, 49, 50, 51, 80, 81, 113, 110])
def test_windows_keep_every_sample_once(length):
    """At 10 samples a second. A window that is not the first or last has a second before and after what it keeps."""
    found = windows(length, 10)
    assert [w.first for w in found] == [0, *(w.last for w in found[:-1])]
    assert found[-1].last == found[-1].stop == length
    for window in found:
        assert window.stop - window.start <= 50
        assert window.start == max(window.first - 10, 0)
        assert window.stop == min(window.last + 10, length) or window.last == length
    assert all(window.last < length for window in found[:-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """AudioSep with small networks and random weights, whose separator hears the words."""
    path = tmp_path_factory.mktemp("audiosep") / "tiny"
    save_random(path / "separator", AudioSepResUNet(ResUNetConfig.tiny()))
    save_random(path / "clap", ClapText(ClapTextConfig.tiny()))
    write_letters(path / "clap/tokenizer.json")
    return path


def save_random(folder, model):
    """Random weights, with variances of 1."""
    random = np.random.default_rng(0)

    def draw(path, leaf):
        is_variance = path[-1].key == "var"
        return (random.normal(0, 0.3, leaf.shape) * (not is_variance) + is_variance).astype(np.float32)

    save_model(folder, model, jax.tree_util.tree_map_with_path(draw, parameter_shapes(model)))


def noise(seconds, rate, channels):
    return np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate), channels)).astype(np.float32)


@pytest.mark.parametrize("seconds", [0, 0.001, 0.3, 6.1])
def test_audiosep_gives_a_sound_of_the_same_shape_for_each_description(folder, seconds):
    """In stereo at another rate than the network's, which hears the channels one by one."""
    separator = AudioSep(str(folder))
    mix = noise(seconds, 8000, 2)
    tracks = separator.separate(mix, 8000, WORDS)
    assert list(tracks) == WORDS
    assert all(track.shape == mix.shape and track.dtype == np.float32 for track in tracks.values())
    assert np.abs(tracks["ab"] - tracks["c"]).max(initial=0) > 0 or not seconds
    right = separator.separate(mix[:, 1:], 8000, ["c"])
    np.testing.assert_allclose(right["c"], tracks["c"][:, 1:], atol=1e-6)
    if seconds > 1:
        assert all(-40 < level < 0 for level in relative_levels(mix, tracks).values())


def test_the_network_is_given_one_shape_whatever_the_length(folder, monkeypatch):
    """And no less than a tenth of a second as the length."""
    shapes, given = set(), set()

    def apply(model, params, condition, mixture, lengths):
        shapes.add((mixture.shape, condition.shape, lengths.shape))
        given.add(int(lengths[0]))
        return mixture

    monkeypatch.setattr(audiosep, "apply_window", apply)
    for seconds in (0.01, 2, 5, 9.7):
        mix = noise(seconds, 4000, 1)
        tracks = AudioSep(str(folder)).separate(mix, 4000, WORDS)
        np.testing.assert_array_equal(tracks["c"], mix)
    assert shapes == {((1, 20_000), (1, 16), (1,))}
    assert given == {400, 8000, 20_000, 14_800}


def test_the_card_names_licence_and_weights(folder):
    assert isinstance(AudioSep(""), SeparatorByText)
    card = AudioSep(str(folder)).card()
    assert (card.name, card.version, card.licence) == ("AudioSep", "tiny", "MIT AND CC0-1.0")
    assert len(card.weights.split("+")) == 2


def test_levels_are_relative_to_the_mix():
    mix = noise(1, 1000, 2)
    levels = relative_levels(mix, {"half": mix / 2, "none": np.zeros_like(mix)})
    assert levels["half"] == pytest.approx(-6.02, abs=0.01)
    assert levels["none"] == pytest.approx(FLOOR_DBFS + 20, abs=0.5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no words for the sounds to separate"),
        (["dog", " "], "number 2 is blank"),
        (["dog", "cat", "dog"], "'dog' is there twice"),
    ],
)
def test_words_must_be_there_and_differ(words, said):
    for separator in (AudioSep(""), SAMAudio("")):
        with pytest.raises(UserError, match=said):
            separator.separate(np.zeros((8, 1), np.float32), 4000, words)


def test_samples_must_be_finite(folder):
    with pytest.raises(UserError, match="not finite"):
        AudioSep(str(folder)).separate(np.full((8, 1), np.nan, np.float32), 4000, WORDS)


def test_networks_that_do_not_belong_together_are_refused(tmp_path, folder):
    mix = noise(1, 4000, 1)
    save_random(tmp_path / "separator", AudioSepResUNet(replace(ResUNetConfig.tiny(), condition_size=8)))
    shutil.copytree(folder / "clap", tmp_path / "clap")
    with pytest.raises(UserError, match="takes embeddings of 8 numbers, clap/ gives 16"):
        AudioSep(str(tmp_path)).separate(mix, 4000, WORDS)
    swapped = tmp_path / "swapped"
    shutil.copytree(folder / "clap", swapped / "separator")
    with pytest.raises(UserError, match="separator: a ClapText, not AudioSep's network"):
        AudioSep(str(swapped)).separate(mix, 4000, WORDS)
    with pytest.raises(UserError, match="missing: no such directory"):
        AudioSep(str(tmp_path / "missing")).card()
    (swapped / "separator/model.safetensors").unlink()
    with pytest.raises(UserError, match=r"separator: no \.safetensors file in it"):
        AudioSep(str(swapped)).card()


def test_sam_audio_says_what_it_lacks(tmp_path, monkeypatch):
    assert isinstance(SAMAudio(""), SeparatorByText)
    mix = noise(0.1, 4000, 1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"package sam_audio \(SAM License\), which is missing; pip install git"
    ):
        SAMAudio(str(tmp_path)).card()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(UserError, match=r"config\.json"):
        SAMAudio(str(tmp_path)).separate(mix, 4000, ["dog"])


def test_audiosep_separates_speech_effects_and_music_that_add_up(folder):
    separator = find_separator(f"audiosep:{folder}", TRACKS)
    assert isinstance(separator, Separator)
    mix = noise(0.5, 8000, 1)
    tracks = separator.separate(mix, 8000)
    assert tuple(tracks) == TRACKS
    np.testing.assert_allclose(sum(tracks.values()), mix, atol=1e-6)
    alone = AudioSep(str(folder)).separate(mix, 8000, ["human speech"])["human speech"]
    np.testing.assert_allclose(tracks["speech"], alone, atol=1e-6)
    assert {card.name for card in separator.cards().values()} == {"AudioSep"}
