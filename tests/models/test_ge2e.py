"""The speaker encoder against golden numbers of torch, and as any network of the registry."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax import load_model, save_model
from mtv_jax.io.errors import UserError
from mtv_jax.models.ge2e import GE2E, GE2EConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights.ge2e import IGNORED, RULES, config_from_json
from mtv_jax.weights.rules import to_params
from mtv_jax.weights.torch_files import read_torch


@pytest.fixture(scope="module")
def golden(goldens):
    with np.load(goldens / "ge2e.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def network(golden):
    model = GE2E(config_from_json(json.loads(str(golden["config"]))))
    state = {key.removeprefix("weights."): golden[key] for key in golden if key.startswith("weights.")}
    return model, to_params(state, RULES, parameter_shapes(model), ignored=IGNORED)


@pytest.fixture(scope="module")
def apply(network):
    return jax.jit(network[0].apply)


def test_gives_what_the_original_gives(golden, network, apply):
    model, params = network
    found = apply(params, golden["mels"])
    np.testing.assert_allclose(found, golden["embeddings"], atol=1e-6)
    half = jax.jit(GE2E(model.config, jnp.bfloat16).apply)(params, golden["mels"])
    assert half.dtype == jnp.float32
    assert 1e-6 < np.abs(half - golden["embeddings"]).max() < 0.03


def test_a_voice_without_features_has_no_direction(golden, network, apply):
    """No number of the embedding is above 0: its length is 0, not NaN."""
    params = jax.tree.map(lambda x: x, network[1])
    params["params"]["linear"]["bias"] = np.full(5, -1e3, np.float32)
    assert not np.any(apply(params, golden["mels"]))


def test_weights_are_read_from_a_file_of_an_old_torch(goldens, golden):
    found = read_torch([goldens / "legacy.pt"], entry="model_state")
    assert set(found) == {key.removeprefix("weights.") for key in golden if key.startswith("weights.")}
    for key, tensor in found.items():
        np.testing.assert_array_equal(np.asarray(tensor), golden[f"weights.{key}"])


def test_is_saved_and_loaded(tmp_path, network):
    model, params = network
    save_model(tmp_path, model, params)
    again, same = load_model(tmp_path)
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)


def test_a_hop_beyond_the_window_is_refused():
    with pytest.raises(UserError, match="hop 500: at most n_fft, 400"):
        GE2EConfig(hop=500)
