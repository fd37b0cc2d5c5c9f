"""The autoencoder in diffusers' files: tensor names both ways, config.json both ways, and what is refused."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from random_weights import random_weights

from mtv_jax.io.errors import UserError
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.vae3d import VAE3D, VAE3DConfig
from mtv_jax.weights.pretrained import load_model, save_model
from mtv_jax.weights.rules import to_params, to_state
from mtv_jax.weights.vae3d import RULES, config_from_json, config_to_json


@pytest.fixture(scope="module")
def original(goldens):
    with np.load(goldens / "vae3d.npz") as file:
        state = {k.removeprefix("weights."): file[k] for k in file if k.startswith("weights.")}
        return json.loads(str(file["config"])), state


def test_tensors_survive_the_way_here_and_back(original):
    values, state = original
    params = to_params(state, RULES, parameter_shapes(VAE3D(config_from_json(values))))
    back = to_state(params, RULES)
    assert set(back) == set(state)
    for key, tensor in state.items():
        np.testing.assert_array_equal(back[key], tensor, err_msg=key)


def test_a_tensor_too_many_is_named(original):
    values, state = original
    shapes = parameter_shapes(VAE3D(config_from_json(values)))
    with pytest.raises(UserError, match=r"unexpected tensors: encoder\.extra"):
        to_params({**state, "encoder.extra": np.zeros(1)}, RULES, shapes)


@pytest.mark.parametrize("variant", ["tiny", "cogvideox_2b", "cogvideox_5b"])
def test_config_survives_the_way_there_and_back(variant):
    config = getattr(VAE3DConfig, variant)()
    assert config_from_json(json.loads(json.dumps(config_to_json(config)))) == config


def test_the_temporal_kernel_is_written_only_where_diffusers_has_another():
    for size, reported in ((3, {}), (1, {"temporal_kernel_size": 1})):
        config = VAE3DConfig(temporal_kernel_size=size)
        values = config_to_json(config)
        assert {key: values[key] for key in values if key == "temporal_kernel_size"} == reported
        assert config_from_json(values) == config


def test_weights_with_a_temporal_kernel_of_one_survive_the_way_there_and_back(tmp_path):
    model = VAE3D(replace(VAE3DConfig.tiny(), block_out_channels=(4, 4)))
    params = random_weights(model)
    save_model(tmp_path / "vae", model, params)
    again, loaded = load_model(tmp_path / "vae")
    assert again.config == model.config
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("layer_per_block", 2, "unknown key 'layer_per_block'; the nearest known is 'layers_per_block'"),
        ("use_quant_conv", True, "use_quant_conv True is not supported"),
        ("act_fn", "gelu", "act_fn 'gelu' is not supported"),
        ("up_block_types", ["UpBlock2D"], "only CogVideoXUpBlock3D is supported"),
    ],
)
def test_config_of_another_architecture_is_refused(key, value, message):
    with pytest.raises(UserError, match=message):
        config_from_json({key: value})
