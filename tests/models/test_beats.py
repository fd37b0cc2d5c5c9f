"""BEATs and its filter bank against numbers of the original, and what the module promises."""

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_folders import ORIGINALS
from safetensors.numpy import load_file

from mtv_jax.io.errors import UserError
from mtv_jax.models.beats import BEATs, BEATsConfig, fbank, mel_banks, normalised_fbank, reduce_mask
from mtv_jax.models.t5.model import relative_bias, relative_position_buckets
from mtv_jax.weights import beats as table
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.rules import to_params, to_state

FOLDER = ORIGINALS / "beats"
CLOSE: Any = {"rtol": 1e-4, "atol": 1e-4}  # layers, from the stored filter bank (the goldens' README)


def fill(model: BEATs, state):
    """The parameters of a checkpoint."""

    def everything(module, fbank):
        hidden = module(fbank)
        if module.config.num_classes is not None:
            module.class_probabilities(hidden[:, -1])

    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 128)), method=everything))
    return to_params(Canonical(state, table.ALIASES), table.RULES, shapes, ignored=table.IGNORED)


@pytest.fixture(scope="module")
def golden():
    json_config = json.loads((FOLDER / "config.json").read_text())
    state = load_file(FOLDER / "weights.safetensors")
    model = BEATs(table.config_from_json(json_config["beats_config"]))
    with np.load(FOLDER / "io.npz") as file:
        arrays = {key: file[key] for key in file}
    bank = table.fbank_config_from_json(json_config["preprocess"])
    return model, fill(model, state), state, arrays, bank


def waveforms(arrays, name: str) -> np.ndarray:
    return arrays[f"{name}.waveform_int16"] / np.float32(2**15)


def test_filter_bank_agrees_with_kaldi(golden):
    _, _, _, arrays, bank = golden
    np.testing.assert_allclose(mel_banks(bank), arrays["mel_banks"], atol=5e-5)
    error = np.abs(fbank(waveforms(arrays, "short")[0], bank) - arrays["short.fbank_raw_row0"])
    assert error.max() < 3e-2
    assert error.mean() < 1e-3
    for name, key in (("short", "short.masked"), ("long", "long")):
        got = np.stack([normalised_fbank(wave, bank) for wave in waveforms(arrays, name)])
        np.testing.assert_allclose(got, arrays[f"{key}.fbank_normalized"], atol=3e-2 / (2 * bank.std), rtol=0)


def test_every_layer_agrees_with_the_original_where_some_is_padding(golden):
    model, params, _, arrays, _ = golden
    bank = arrays["short.masked.fbank_normalized"]
    want_mask = ~arrays["short.masked.output_padding_mask"]
    mask = reduce_mask(reduce_mask(~arrays["short.padding_mask"], bank.shape[1]), want_mask.shape[1])
    np.testing.assert_array_equal(mask, want_mask)
    hidden, seen = jax.jit(functools.partial(model.apply, mutable=["intermediates"]))(params, bank, mask)
    seen = seen["intermediates"]
    patches = np.moveaxis(arrays["short.masked.patch_embedding"], 1, -1)
    parts = {
        "layer_norm": seen["normed_patches"][0],
        "pos_conv": seen["position_out"][0],
        "encoder_layer_norm": hidden[:, 0],
        "layer0.grep_linear": np.moveaxis(seen["blocks"]["attention"]["gate_projection"][0][0], 2, 1),
        "output": hidden[:, -1],
    }
    np.testing.assert_allclose(seen["patches"][0], patches, **CLOSE)
    for layer in range(model.config.encoder_layers):
        parts[f"layer{layer}"] = hidden[:, layer + 1]
        parts[f"layer{layer}.self_attn"] = seen["blocks"]["attention_out"][0][layer]
    for name, got in parts.items():
        np.testing.assert_allclose(got, arrays[f"short.masked.{name}"], err_msg=name, **CLOSE)
    probabilities = model.apply(params, hidden[:, -1], mask, method="class_probabilities")
    np.testing.assert_allclose(probabilities, arrays["short.masked.predictor_probs"], **CLOSE)


def test_output_agrees_without_mask_and_beyond_the_exact_positions(golden):
    model, params, _, arrays, bank = golden
    apply = jax.jit(model.apply)
    for key, features in (("short.nomask", "short.masked"), ("long", "long")):
        hidden = apply(params, arrays[f"{features}.fbank_normalized"])
        np.testing.assert_allclose(hidden[:, -1], arrays[f"{key}.output"], **CLOSE)
        probabilities = model.apply(params, hidden[:, -1], method="class_probabilities")
        np.testing.assert_allclose(probabilities, arrays[f"{key}.predictor_probs"], **CLOSE)
    end_to_end = np.stack([normalised_fbank(wave, bank) for wave in waveforms(arrays, "long")])
    np.testing.assert_allclose(apply(params, end_to_end)[:, -1], arrays["long.output"], atol=5e-3, rtol=0)


def test_positions_fall_in_the_original_buckets(golden):
    model, params, _, arrays, _ = golden
    cfg, distances = model.config, arrays["rel_pos_values"]
    farthest = int(np.abs(distances).max())
    buckets = relative_position_buckets(farthest + 1, farthest + 1, cfg.num_buckets, cfg.max_distance)
    got = [buckets[max(-d, 0), max(d, 0)] for d in distances]
    np.testing.assert_array_equal(got, arrays["rel_pos_buckets"])
    want = arrays["rel_bias_16x16_heads_q_k"]
    n, m = want.shape[1:]
    bias = relative_bias(params["params"]["relative_bias"], jnp.asarray(buckets[:n, :m]))
    np.testing.assert_array_equal(bias[0], want)


def test_scanned_and_unscanned_are_the_same_and_give_back_the_file(golden):
    model, params, state, arrays, _ = golden
    unscanned_model = BEATs(model.config, scan_layers=False)
    unscanned = fill(unscanned_model, state)
    bank = arrays["short.masked.fbank_normalized"][:1, :48]
    with jax.disable_jit():  # compiled, the two are fused differently and differ in the last bit
        np.testing.assert_array_equal(unscanned_model.apply(unscanned, bank), model.apply(params, bank))
    canonical = Canonical(state, table.ALIASES)
    for tree in (params, unscanned):
        back = to_state(tree, table.RULES)
        assert set(back) == set(canonical)
        for key, tensor in canonical.items():
            np.testing.assert_array_equal(back[key], tensor)


def test_bfloat16_is_close(golden):
    model, params, _, arrays, _ = golden
    half = BEATs(model.config, dtype=jnp.bfloat16)
    got = np.asarray(jax.jit(half.apply)(params, arrays["short.masked.fbank_normalized"])[:, -1], np.float32)
    want = arrays["short.nomask.output"]
    assert np.sqrt(((got - want) ** 2).mean() / (want**2).mean()) < 2e-2


def test_the_pretrained_size_and_the_config_survive():
    shapes = jax.eval_shape(BEATs(BEATsConfig.iter3()).init, jax.random.key(0), jnp.zeros((1, 16, 128)))
    assert 89e6 < sum(leaf.size for leaf in jax.tree.leaves(shapes)) < 92e6  # "90M" in its paper
    for config in (BEATsConfig.tiny(), BEATsConfig.iter3(), BEATsConfig(num_classes=527)):
        assert table.config_from_json(table.config_to_json(config)) == config


def test_what_cannot_be_run_is_an_error_that_names_it():
    with pytest.raises(UserError, match="layer_norm_first"):
        table.config_from_json({"layer_norm_first": True})
    with pytest.raises(UserError, match="window_type"):
        table.fbank_config_from_json({"window_type": "hamming"})
    with pytest.raises(UserError, match="at least 400"):
        fbank(np.zeros(399))
