"""CLIP and its preprocessing against numbers of transformers, and what the module promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from mtv_jax import load_model, save_model
from mtv_jax.io.errors import UserError
from mtv_jax.models.clip import CLIP, CLIP_MEAN, CLIP_STD, CLIPConfig, clip_pixels
from mtv_jax.models.clip.preprocessing import centre_crop, resize_short_side
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights import clip as table
from mtv_jax.weights.rules import to_params, to_state


@pytest.fixture(scope="module")
def golden(goldens):
    with np.load(goldens / "clip.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def state(golden):
    return {key.removeprefix("weights."): golden[key] for key in golden if key.startswith("weights.")}


@pytest.fixture(scope="module")
def network(golden, state, tmp_path_factory):
    """From a folder as transformers writes it, with the numbers of positions that its older versions stored."""
    path = tmp_path_factory.mktemp("clip")
    (path / "config.json").write_text(str(golden["config"]))
    numbers = {f"{tower}_model.embeddings.position_ids": np.arange(3)[None] for tower in ("text", "vision")}
    save_file(state | numbers, path / "model.safetensors")
    return load_model(path)


@pytest.fixture(scope="module")
def inputs(golden):
    return np.moveaxis(golden["pixels"], 1, -1), golden["tokens"]


def close(found, want) -> None:
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


def is_projection(module, method) -> bool:
    return module.name in ("vision_projection", "text_projection")


def test_every_layer_agrees_with_transformers(golden, network, inputs):
    model, params = network
    apply = functools.partial(model.apply, mutable=["intermediates"], capture_intermediates=is_projection)
    logits, seen = jax.jit(apply)(params, *inputs)
    close(logits, golden["logits_per_image"])
    seen = seen["intermediates"]
    close(seen["vision_projection"]["__call__"][0], golden["image_features"])
    close(seen["text_projection"]["__call__"][0], golden["text_features"])
    for tower in ("vision", "text"):
        for layer, output in enumerate(seen[tower]["blocks"]["output"][0]):
            close(output, golden[f"{tower}.{layer + 1}"])


def test_unscanned_agrees_too_and_both_give_back_the_file(golden, state, network, inputs):
    model, params = network
    unscanned_model = CLIP(model.config, scan_layers=False)
    unscanned = to_params(state, table.RULES, parameter_shapes(unscanned_model), ignored=table.IGNORED)
    texts = jax.jit(functools.partial(unscanned_model.apply, method="text_features"))
    close(texts(unscanned, inputs[1]), golden["text_features"])
    for tree in (params, unscanned):
        back = to_state(tree, table.RULES)
        assert set(back) == set(state)
        for key, found in back.items():
            np.testing.assert_array_equal(found, state[key], err_msg=key)


def test_frames_are_prepared_as_by_transformers(golden):
    found = clip_pixels(golden["frames"], golden["processed"].shape[1])
    np.testing.assert_allclose(found, golden["processed"], atol=1e-6)
    levels = (found * CLIP_STD + CLIP_MEAN) * 255
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)  # PIL rounds to bytes


@pytest.mark.parametrize(("height", "width"), [(30, 24), (24, 31), (24, 24), (7, 50)])
def test_short_side_and_crop(height, width):
    frames = np.zeros((1, height, width, 3), np.uint8)
    resized = resize_short_side(frames, 24)
    assert min(resized.shape[1:3]) == 24
    assert max(resized.shape[1:3]) == int(24 * max(height, width) / min(height, width))
    assert centre_crop(resized, 24).shape == (1, 24, 24, 3)


def test_an_odd_margin_is_cut_towards_the_upper_left():
    frames = np.arange(5, dtype=np.uint8)[None, None, :, None].repeat(2, 1).repeat(3, 3)
    np.testing.assert_array_equal(centre_crop(frames, 2)[0, 0, :, 0], [1, 2])


def test_is_saved_and_loaded(network, tmp_path):
    model, params = network
    save_model(tmp_path, model, params)
    again, same = load_model(tmp_path)
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)


@pytest.mark.parametrize("config", [CLIPConfig.tiny(), CLIPConfig.vit_b32(), CLIPConfig.vit_l14()], ids=str)
def test_configs_survive_their_file(config):
    assert table.config_from_json(table.config_to_json(config)) == config


def test_configs_of_older_versions_of_transformers_are_read():
    """As openai/clip-vit-large-patch14: keys of generation, the end token 2, sizes twice, of which `_dict` counts."""
    sizes = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
    values = {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "logit_scale_init_value": 2.6592,
        "projection_dim": 768,
        "torch_dtype": "float32",
        "text_config": {"hidden_size": 1, "bad_words_ids": None, "top_p": 1.0, "eos_token_id": 2},
        "text_config_dict": sizes | {"projection_dim": 768, "eos_token_id": 2},
        "vision_config": {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "patch_size": 14,
            "dropout": 0.0,
        },
        "vision_config_dict": None,
    }
    assert table.config_from_json(values) == CLIPConfig.vit_l14()
    assert table.config_from_json({"text_config": {}}).text.eos_token_id == 49407
    with pytest.raises(UserError, match="vision_config: unknown keys heads"):
        table.config_from_json({"vision_config": {"heads": 2}})


def test_what_does_not_fit_is_refused():
    model = CLIP(CLIPConfig.tiny())
    shapes = parameter_shapes(model)
    pictures = functools.partial(model.apply, method="image_features")
    with pytest.raises(UserError, match="pictures of 20 x 28 pixels: this network takes 28 x 28"):
        jax.eval_shape(pictures, shapes, jnp.zeros((1, 28, 20, 3)))
    texts = functools.partial(model.apply, method="text_features")
    with pytest.raises(UserError, match="text of 13 tokens: this network takes at most 12"):
        jax.eval_shape(texts, shapes, jnp.zeros((1, 13), jnp.int32))
    with pytest.raises(UserError, match="frames of 0 x 4 pixels"):
        clip_pixels(np.zeros((1, 4, 0, 3), np.uint8))
    with pytest.raises(UserError, match="hidden_size 9: must be divisible by 2 heads"):
        table.config_from_json({"text_config": {"hidden_size": 9, "num_attention_heads": 2}})
