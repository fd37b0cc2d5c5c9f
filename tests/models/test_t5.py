"""The T5 and UMT5 encoders against numbers of transformers, and what the module promises."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.models.t5 import T5Config, T5Encoder
from mtv_jax.models.t5.model import relative_position_buckets
from mtv_jax.weights import t5 as table
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.rules import to_params, to_state

GOLDENS = Path(__file__).parents[1] / "goldens" / "t5.npz"
TOKENS = jnp.zeros((1, 4), jnp.int32)


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def load(family: str, **options):
    """Config, state dict, module and parameters of a golden case, and its arrays."""
    with np.load(GOLDENS) as file:
        case = {k.removeprefix(f"{family}."): file[k] for k in file if k.startswith(f"{family}.")}
    config = table.config_from_json(json.loads(str(case["config"])))
    state = {k.removeprefix("weights."): v for k, v in case.items() if k.startswith("weights.")}
    model = T5Encoder(config, **options)
    shapes = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
    return case, state, model, to_params(Canonical(state, table.ALIASES), table.RULES, shapes)


@pytest.mark.parametrize("family", ["t5", "umt5"])
def test_agrees_with_transformers_with_and_without_mask(family):
    case, _, model, params = load(family)
    apply = jax.jit(model.apply)
    assert relative(apply(params, case["tokens"]), case["all"]) < 1e-5
    assert relative(apply(params, case["tokens"], case["mask"]), case["masked"]) < 1e-5


@pytest.mark.parametrize("family", ["t5", "umt5"])
def test_scanned_and_unscanned_are_the_same_and_give_back_the_file(family):
    case, state, model, params = load(family)
    _, _, unscanned_model, unscanned = load(family, scan_layers=False)
    with jax.disable_jit():  # compiled, the two are fused differently and differ in the last bit
        scanned_out = model.apply(params, case["tokens"])
        np.testing.assert_array_equal(unscanned_model.apply(unscanned, case["tokens"]), scanned_out)
    for tree in (params, unscanned):
        back = to_state(tree, table.RULES)
        assert set(back) == set(state)
        for key, tensor in state.items():
            np.testing.assert_array_equal(back[key], tensor)


@pytest.mark.parametrize("family", ["t5", "umt5"])
def test_bfloat16_is_close_and_keeps_parameters_in_float32(family):
    case, _, model, params = load(family, dtype=jnp.bfloat16)
    out = jax.jit(model.apply)(params, case["tokens"], case["mask"])
    assert relative(out, case["masked"]) < 2e-2
    inits = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
    assert {leaf.dtype for leaf in jax.tree.leaves(inits)} == {jnp.dtype(jnp.float32)}


def test_masked_tokens_do_not_matter():
    case, _, model, params = load("t5")
    tokens, mask = jnp.asarray(case["tokens"]), jnp.asarray(case["mask"])
    other = jnp.where(mask, tokens, (tokens + 7) % model.config.vocab_size)
    apply = jax.jit(model.apply)
    a, b = (apply(params, t, mask) for t in (tokens, other))
    np.testing.assert_array_equal(np.asarray(a)[case["mask"]], np.asarray(b)[case["mask"]])


def test_buckets_are_exact_near_and_logarithmic_far():
    buckets = relative_position_buckets(1, 200, 32, 128)[0]
    assert buckets[0] == 0
    np.testing.assert_array_equal(buckets[1:8], 16 + np.arange(1, 8))  # 8 exact positions a side
    assert buckets[16] == 16 + 10  # 8 + 8 log(16 / 8) / log(128 / 8)
    assert buckets[127] == buckets[199] == 31
    np.testing.assert_array_equal(relative_position_buckets(200, 1, 32, 128)[:, 0], buckets % 16)


def test_variants_have_the_published_sizes():
    def parameters(config):
        shapes = jax.eval_shape(T5Encoder(config).init, jax.random.key(0), TOKENS)
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    assert parameters(T5Config.t5_v1_1_xxl()) == 4_762_310_656
    assert parameters(T5Config.umt5_xxl()) == 5_680_910_336
    assert parameters(T5Config.tiny()) < 200_000


def test_a_config_survives_its_json():
    for config in (T5Config.tiny(), T5Config.umt5_xxl()):
        assert table.config_from_json(table.config_to_json(config)) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "bert"}, "bert"),
        ({"feed_forward_proj": "relu"}, "relu"),
        ({"frobnicate": 1}, "frobnicate"),
        ({"d_ff": None}, "d_ff"),
    ],
)
def test_a_config_we_cannot_run_is_an_error_that_names_it(change, words):
    json = table.config_to_json(T5Config.tiny()) | change
    with pytest.raises(UserError, match=words):
        table.config_from_json({k: v for k, v in json.items() if v is not None})


def test_tied_embeddings_may_come_under_either_name_but_must_be_equal():
    _, state, _, _ = load("t5")
    embedding = state.pop("shared.weight")
    renamed = Canonical({**state, "encoder.embed_tokens.weight": embedding}, table.ALIASES)
    np.testing.assert_array_equal(renamed["shared.weight"], embedding)
    both = {"shared.weight": embedding, "encoder.embed_tokens.weight": embedding + 1}
    with pytest.raises(UserError, match=r"shared\.weight and encoder\.embed_tokens\.weight"):
        Canonical(both, table.ALIASES)["shared.weight"]
