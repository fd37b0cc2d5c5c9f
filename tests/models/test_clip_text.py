"""CLIP's text encoder alone: the text half of transformers' CLIP, by the names of transformers and of OpenCLIP."""

import functools
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mtv_jax import load_model, save_model
from mtv_jax.io.errors import UserError
from mtv_jax.models.clip_text import CLIPTextConfig, CLIPTextModel
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights import clip_text as table
from mtv_jax.weights.rules import to_params, to_state


@pytest.fixture(scope="module")
def golden(goldens):
    with np.load(goldens / "clip.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def state(golden):
    prefix = "weights.text_model."
    return {key.removeprefix("weights."): golden[key] for key in golden if key.startswith(prefix)}


@pytest.fixture(scope="module")
def network(golden, state, tmp_path_factory):
    """From a folder as transformers 5 writes it: names without `text_model.`."""
    path = tmp_path_factory.mktemp("clip_text")
    values = json.loads(str(golden["config"]))["text_config"] | {"architectures": ["CLIPTextModel"]}
    (path / "config.json").write_text(json.dumps(values))
    save_file(
        {key.removeprefix("text_model."): array for key, array in state.items()}, path / "model.safetensors"
    )
    return load_model(path)


@pytest.fixture(scope="module")
def want(golden, state):
    """Of every token, the last layer's output after the final norm."""
    last = golden["text.3"]
    centred = last - last.mean(-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    name = "text_model.final_layer_norm"
    return normed * state[f"{name}.weight"] + state[f"{name}.bias"]


def close(found, want) -> None:
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


def test_every_token_agrees_with_transformers(golden, network, want):
    model, params = network
    close(jax.jit(model.apply)(params, golden["tokens"]), want)


def test_bfloat16_is_close_and_a_masked_token_is_not_seen(golden, network, want):
    model, params = network
    half = CLIPTextModel(model.config, jnp.bfloat16)
    tokens = np.concatenate([golden["tokens"], golden["tokens"]])
    tokens[2:, 4] = 0
    mask = np.ones(tokens.shape, bool)
    mask[2:, 4] = False
    found = np.asarray(jax.jit(half.apply)(params, tokens, mask))
    assert found.dtype == np.float32
    assert 1e-4 < np.sqrt(((found[:2] - want) ** 2).mean() / (want**2).mean()) < 2e-2
    np.testing.assert_array_equal(found[2:, :4], found[:2, :4])
    again = tokens.copy()
    again[2:, 4] = 1
    other = np.asarray(jax.jit(half.apply)(params, again, mask))
    np.testing.assert_array_equal(found[2:, 5:], other[2:, 5:])
    assert (found[2:, 5:] != found[:2, 5:]).any()


def test_the_file_comes_back_under_the_published_names(network, state, tmp_path):
    model, params = network
    save_model(tmp_path, model, params)
    written = load_file(tmp_path / "model.safetensors")
    assert set(written) == set(state)
    for key, tensor in state.items():
        np.testing.assert_array_equal(written[key], tensor, err_msg=key)
    again, same = load_model(tmp_path)
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)


def openclip(state, layers: int) -> dict[str, np.ndarray]:
    """The tensors by OpenCLIP's names, with one more layer, of ones."""
    names = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
    }
    found = {
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
    }
    for leaf in ("weight", "bias"):
        found[f"ln_final.{leaf}"] = state[f"text_model.final_layer_norm.{leaf}"]
        for layer in range(layers):
            theirs, ours = f"text_model.encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
            for name, other in names.items():
                found[f"{ours}{other}.{leaf}"] = state[f"{theirs}{name}.{leaf}"]
            parts = [state[f"{theirs}self_attn.{n}_proj.{leaf}"] for n in "qkv"]
            found[f"{ours}attn.in_proj_{leaf}"] = np.concatenate(parts)
    last = f"transformer.resblocks.{layers - 1}."
    extra = {key.replace(last, f"transformer.resblocks.{layers}."): np.ones_like(found[key]) for key in found}
    return extra | found


def test_the_text_encoder_of_a_larger_file_is_opened_without_its_last_layer(network, state):
    model, params = network
    layers = model.config.num_hidden_layers
    others = ("text_projection", "logit_scale", "attn_mask", "visual.proj")
    theirs = openclip(state, layers) | dict.fromkeys(others, np.ones(()))
    assert len(theirs) == 4 + 12 * (layers + 1) + len(others)
    larger = {f"cond_stage_model.model.{key}": tensor for key, tensor in theirs.items()}
    open_it = functools.partial(
        table.open_openclip_text,
        settle=lambda _, leaf: np.asarray(leaf),
        config=model.config,
        origin="a.ckpt",
    )
    again, same = open_it({**larger, "scale_arr": np.zeros(3)})
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)
    further = {f"cond_stage_model.model.transformer.resblocks.{layers + 1}.ln_1.weight": np.ones(2)}
    with pytest.raises(
        UserError, match=rf"a\.ckpt: cond_stage_model.* unexpected tensors: .*\.{layers + 1}\.ln_1"
    ):
        open_it(larger | further)


def test_openclips_names_are_one_to_one_with_the_parameters():
    model = CLIPTextModel(CLIPTextConfig.tiny(), scan_layers=False)
    shapes = parameter_shapes(model)
    state = to_state(jax.tree.map(lambda leaf: np.zeros(leaf.shape, "f4"), shapes), table.OPENCLIP_RULES)
    assert state["transformer.resblocks.1.attn.in_proj_weight"].shape == (72, 24)
    to_params(state, table.OPENCLIP_RULES, shapes)


@pytest.mark.parametrize("config", [CLIPTextConfig.tiny(), CLIPTextConfig.vit_h()], ids=["tiny", "vit_h"])
def test_configs_survive_their_file(config):
    assert table.config_from_json(json.loads(json.dumps(table.config_to_json(config)))) == config
    assert config.d_model == config.hidden_size


def test_the_config_of_stable_diffusion_2_is_read():
    """As stabilityai/stable-diffusion-2-1-base has it."""
    values = {
        "architectures": ["CLIPTextModel"],
        "bos_token_id": 0,
        "dropout": 0.0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": 16,
        "num_hidden_layers": 23,
        "pad_token_id": 1,
        "projection_dim": 512,
        "torch_dtype": "float32",
        "vocab_size": 49408,
    }
    assert table.config_from_json(values) == CLIPTextConfig.vit_h()
    assert table.config_from_json({}) == replace(
        table.config_from_json({"eos_token_id": 2}), eos_token_id=49407
    )
    with pytest.raises(UserError, match="CLIPTextModel config.json: unknown keys heads"):
        table.config_from_json({"heads": 2})
