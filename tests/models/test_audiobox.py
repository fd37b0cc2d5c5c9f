"""Audiobox-aesthetics against the original's numbers, and as any network of the registry."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from mtv_jax import load_model, save_model
from mtv_jax.curation.adapters import audiobox as adapter
from mtv_jax.curation.roles import AudioQuality
from mtv_jax.io.errors import UserError
from mtv_jax.models.audiobox import AXES, Audiobox
from mtv_jax.weights.audiobox import load_audiobox


@pytest.fixture(scope="module")
def golden(goldens):
    with np.load(goldens / "audiobox.npz") as file:
        return {key: file[key] for key in file}


@pytest.fixture(scope="module")
def folder(golden, tmp_path_factory):
    """As facebook/audiobox-aesthetics: config.json without a class, and one file of weights."""
    path = tmp_path_factory.mktemp("audiobox")
    (path / "config.json").write_text(str(golden["config"]))
    weights = {key.removeprefix("weights."): v for key, v in golden.items() if key.startswith("weights.")}
    save_file(weights, path / "model.safetensors")
    return path


@pytest.fixture(scope="module")
def network(folder):
    return load_audiobox(folder)


def test_rates_as_the_original_where_some_is_padding(golden, network):
    for row in range(2):
        found = adapter.rate_window(*network, golden["waveform"][row, None], golden["mask"][row, None])
        np.testing.assert_allclose(found[0], golden["ratings"][row], rtol=0, atol=2e-5)


@pytest.mark.slow
def test_bfloat16_is_close(golden, network):
    model, params = network
    half = Audiobox(model.config, jnp.bfloat16)
    found = jax.jit(half.apply)(params, golden["waveform"], golden["mask"])
    assert found.dtype == jnp.float32
    assert np.abs(found - golden["ratings"]).max() < 0.05


def test_is_saved_and_loaded(network, tmp_path):
    model, params = network
    save_model(tmp_path / "saved", model, params)
    again, same = load_model(tmp_path / "saved")
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)
    config = json.loads((tmp_path / "saved/config.json").read_text())
    (tmp_path / "saved/config.json").write_text(json.dumps(config | {"nth_layer": 2}))
    with pytest.raises(UserError, match=r"nth_layer = 2 is not supported \(only 3"):
        load_model(tmp_path / "saved")


def test_the_adapter_weighs_windows_by_their_length(folder, monkeypatch):
    second = 16_000
    monkeypatch.setattr(adapter, "_WINDOW", second)  # which is compiled above
    sound = 0.1 * np.random.default_rng(0).standard_normal(5 * second // 4).astype(np.float32)
    model = adapter.Audiobox(str(folder))
    assert isinstance(model, AudioQuality)
    assert model.card().licence == "CC-BY-4.0"
    parts = (sound, sound[:second], sound[second:])
    whole, first, rest = (model.rate(part, second, {}) for part in parts)
    for axis in AXES:
        assert whole[axis] == pytest.approx((4 * first[axis] + rest[axis]) / 5, rel=1e-4)


def test_the_adapter_says_where_its_weights_are_from(tmp_path):
    with pytest.raises(
        UserError, match=r"facebook/audiobox-aesthetics.*config\.quality\.model=audiobox:FOLDER"
    ):
        adapter.Audiobox()
    with pytest.raises(UserError, match="no .safetensors file"):
        adapter.Audiobox(str(tmp_path)).card()
