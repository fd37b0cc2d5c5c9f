"""CLAP against numbers of transformers, and what the modules promise."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from mtv_jax import load_model, save_model
from mtv_jax.io.errors import UserError
from mtv_jax.models.clap import Clap, ClapAudioConfig, ClapConfig, ClapText, ClapTextConfig
from mtv_jax.models.clap.audio import PatchEmbedding
from mtv_jax.models.clap.swin import Stage, SwinLayer
from mtv_jax.models.registry import replace_fields
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights import clap as table
from mtv_jax.weights import clap_text
from mtv_jax.weights.rules import to_params, to_state

CASES = ("unfused", "fused")


@pytest.fixture(scope="module")
def golden(goldens):
    with np.load(goldens / "clap.npz") as file:
        return dict(file)


def part(golden, prefix):
    return {key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)}


@functools.cache
def run(model: Clap):
    """The network with the outputs of its parts, compiled."""

    def is_part(module, method) -> bool:
        return isinstance(module, (Stage, PatchEmbedding)) or (module.name or "").endswith("_projection")

    return jax.jit(functools.partial(model.apply, mutable=["intermediates"], capture_intermediates=is_part))


@pytest.fixture(scope="module", params=CASES)
def case(request, golden, tmp_path_factory):
    """A network from a folder as transformers writes it, and the golden's numbers."""
    path = tmp_path_factory.mktemp("clap")
    numbers = part(golden, f"{request.param}.")
    (path / "config.json").write_text(str(numbers["config"]))
    save_file(part(numbers, "weights."), path / "model.safetensors")
    return *load_model(path), numbers


def close(found, want) -> None:
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


def test_every_stage_and_layer_agrees_with_transformers(case):
    model, params, want = case
    inputs = want["mel"], want["tokens"], want["longer"]
    (per_audio, per_text), seen = run(model)(params, *inputs)
    seen = seen["intermediates"]
    audio = seen["audio"]
    close(audio["patches"]["__call__"][0], want["patches"])
    for i in range(len(model.config.audio.depths)):
        close(audio[f"stage_{i}"]["__call__"][0], want[f"stage.{i}"])
    for i, layer in enumerate(seen["text"]["blocks"]["output"][0]):
        heard = want["tokens"] != model.config.text.pad_token_id
        close(np.asarray(layer)[heard], want[f"text.{i + 1}"][heard])
    for half in ("audio", "text"):
        close(seen[f"{half}_projection"]["__call__"][0], want[f"{half}_features"])
    close(per_audio, want["logits_per_audio"])
    close(per_text, want["logits_per_text"])


@pytest.mark.parametrize("case", ["fused"], indirect=True)
def test_crops_are_heard_only_of_longer_sounds(case):
    model, params, want = case
    mel = want["mel"].copy()
    mel[:, 1:] += 5
    (logits, _), _ = run(model)(params, mel, want["tokens"], want["longer"])
    changed = np.abs(np.asarray(logits) - want["logits_per_audio"]).max(1) > 1e-3
    np.testing.assert_array_equal(changed, want["longer"])


@pytest.mark.parametrize("case", ["fused"], indirect=True)
def test_both_forms_give_back_the_file(case):
    model, params, want = case
    state = part(want, "weights.")
    unscanned = Clap(model.config, scan_layers=False)
    tree = to_params(state, table.RULES, parameter_shapes(unscanned), ignored=table.IGNORED)
    for found in (params, tree):
        back = to_state(found, table.RULES)
        counters = ("position_ids", "type_ids", "position_index", "batches_tracked")
        assert set(back) == {key for key in state if not key.endswith(counters)}
        for key, tensor in back.items():
            np.testing.assert_array_equal(tensor, state[key], err_msg=key)


def test_config_is_written_as_it_was_read(case):
    model, _, _ = case
    written = json.loads(json.dumps(table.config_to_json(model.config)))
    assert table.config_from_json(written) == model.config


def test_a_picture_of_one_window_is_not_shifted():
    """As in the last stage of the released sizes, which has two layers."""
    sizes = {"heads": 2, "window": 2, "mlp_ratio": 2.0, "epsilon": 1e-5}
    stage, layer = Stage(2, **sizes, merges=False), SwinLayer(**sizes, shift=0)
    x = jax.random.normal(jax.random.key(0), (1, 2, 2, 8))

    @jax.jit
    def both(key):
        params = stage.init(key, x)
        plain = x
        for i in range(2):
            plain = layer.apply({"params": params["params"][f"layer_{i}"]}, plain)
        return stage.apply(params, x), plain

    np.testing.assert_allclose(*both(jax.random.key(1)), atol=1e-6)


@pytest.fixture(scope="module")
def unfused(golden):
    """The network of one view and its numbers."""
    numbers = part(golden, "unfused.")
    model = Clap(table.config_from_json(json.loads(str(numbers["config"]))))
    state = part(numbers, "weights.")
    return model, to_params(state, table.RULES, parameter_shapes(model), ignored=table.IGNORED), numbers


def test_bfloat16_is_close(unfused):
    model, params, want = unfused
    half = Clap(model.config, dtype=jnp.bfloat16)

    def both(module, mel, tokens):
        return module.audio_features(mel), module.text_features(tokens)

    found = jax.jit(functools.partial(half.apply, method=both))(params, want["mel"], want["tokens"])
    for features, name in zip(found, ("audio_features", "text_features"), strict=True):
        error = np.sqrt(((features - want[name]) ** 2).mean() / (want[name] ** 2).mean())
        assert 0 < error < 2e-2, name


def test_the_text_half_alone_is_that_of_the_whole(unfused, tmp_path):
    """Unscanned; from a folder as transformers' ClapTextModelWithProjection writes it, and back."""
    model, _, want = unfused
    state = {key: value for key, value in part(want, "weights.").items() if key.startswith("text_")}
    (tmp_path / "config.json").write_text(json.dumps(clap_text.config_to_json(model.config.text)))
    save_file(state, tmp_path / "model.safetensors")
    half, params = load_model(tmp_path, scan_layers=False)
    assert isinstance(half, ClapText)
    close(jax.jit(half.apply)(params, want["tokens"]), want["text_features"])
    save_model(tmp_path / "again", half, params)
    again, same = load_model(tmp_path / "again", scan_layers=False)
    assert again.config == half.config
    jax.tree.map(np.testing.assert_array_equal, same, params)


@pytest.mark.parametrize(
    ("mel", "tokens", "message"),
    [
        ((1, 1, 33, 8), (1, 2), "33 frames and 8 bands: this network takes 1 views, at most 32 frames"),
        ((1, 4, 9, 8), (1, 2), "spectrograms of 4 views"),
        ((1, 1, 9, 8), (1, 17), "text of 17 tokens: this network takes at most 16"),
    ],
)
def test_inputs_that_do_not_fit_are_named(mel, tokens, message):
    model = Clap(ClapConfig.tiny())
    params = parameter_shapes(model)
    inputs = jax.ShapeDtypeStruct(mel, jnp.float32), jax.ShapeDtypeStruct(tokens, jnp.int32)
    with pytest.raises(UserError, match=message):
        jax.eval_shape(model.apply, params, *inputs)


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (ClapAudioConfig, {"spec_size": 20}, "must be divisible by num_mel_bins 8"),
        (ClapAudioConfig, {"spec_size": 24, "patch_size": 4}, "divisible by 16, so that every stage"),
        (ClapAudioConfig, {"depths": (1,)}, "must be as many as num_attention_heads"),
        (ClapAudioConfig, {"num_attention_heads": (2, 3)}, "width 16: must be divisible by 3 heads"),
        (ClapAudioConfig, {"enable_fusion": True, "aff_block_r": 9}, "exceeds 8 channels"),
        (ClapTextConfig, {"hidden_size": 25}, "divisible by 3 heads"),
        (ClapTextConfig, {"max_position_embeddings": 2}, "must exceed pad_token_id"),
    ],
)
def test_sizes_that_do_not_fit_are_named(config, values, message):
    with pytest.raises(UserError, match=message):
        replace_fields(config.tiny(), values)


@pytest.mark.parametrize(
    ("half", "values", "message"),
    [
        ("audio", {"patch_stride": [2, 4]}, "must be one number"),
        ("audio", {"hidden_size": 768}, "that of the last stage, 16"),
        ("audio", {"fusion_type": "channel_map"}, "fusion_type = 'channel_map' is not supported"),
        ("text", {"hidden_act": "relu"}, "hidden_act = 'relu' is not supported"),
        ("text", {"position_embedding_type": "relative"}, "is not supported"),
    ],
)
def test_options_that_are_not_supported_are_named(half, values, message):
    json = table.config_to_json(ClapConfig.tiny())
    json[f"{half}_config"] |= values
    with pytest.raises(UserError, match=message):
        table.config_from_json(json)
