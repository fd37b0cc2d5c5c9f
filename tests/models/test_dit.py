"""The backbone against numbers of diffusers (made by tests/goldens/make_dit.py), and what it refuses."""

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pipeline_folders import SMALL_DIT
from random_weights import scaled_weights

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.errors import UserError
from mtv_jax.models.dit import DiT, DiTConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights.dit import RULES, config_from_json, config_to_json
from mtv_jax.weights.rules import to_params, to_state

GOLDENS = Path(__file__).parents[1] / "goldens" / "dit.npz"
VARIANTS = (
    "tiny",
    "cogvideox_2b",
    "cogvideox_5b",
    "cogvideox_5b_i2v",
    "cogvideox_1_5_5b",
    "cogvideox_1_5_5b_i2v",
)


@functools.cache
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDENS) as file:
        return dict(file)


def styles() -> list[str]:
    return sorted(key.removesuffix(".config") for key in golden() if key.endswith(".config"))


@functools.cache
def load(style: str, **options):
    """Our module, parameters and the original's state dict."""
    prefix = f"{style}.weights."
    state = {key.removeprefix(prefix): x for key, x in golden().items() if key.startswith(prefix)}
    model = DiT(config_from_json(json.loads(str(golden()[f"{style}.config"]))), **options)
    return model, to_params(state, RULES, parameter_shapes(model)), state


def inputs(case: str) -> tuple[Any, ...]:
    latents, timesteps, text = (golden()[f"{case}.{key}"] for key in ("latents", "timesteps", "text"))
    return latents, timesteps, Conditions(text)


@functools.partial(jax.jit, static_argnums=0)
def predict(model, params, *args):
    return model.apply(params, *args)


def error(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


@pytest.mark.parametrize("style", styles())
def test_prediction_is_diffusers(style):
    model, params, _ = load(style)
    half = DiT(model.config, dtype=jnp.bfloat16)
    for case in (key.removesuffix(".latents") for key in golden() if key.endswith(".latents")):
        if case in (style, f"{style}_wide"):
            want = golden()[f"{case}.prediction"]
            assert error(predict(model, params, *inputs(case)), want) < 1e-5, case
    assert error(predict(half, params, *inputs(style)), golden()[f"{style}.prediction"]) < 2e-2


@pytest.mark.parametrize("style", styles())
def test_checkpoint_round_trip_is_exact(style):
    _, params, state = load(style)
    back = to_state(params, RULES)
    assert set(back) == set(state)
    for key, tensor in back.items():
        np.testing.assert_array_equal(tensor, state[key], err_msg=key)


@pytest.mark.parametrize("style", styles())
def test_config_json_is_that_of_diffusers(style):
    theirs = json.loads(str(golden()[f"{style}.config"]))
    ours = config_to_json(config_from_json(theirs))
    assert {key: value for key, value in ours.items() if not key.startswith("_")} == theirs


@pytest.mark.parametrize("variant", VARIANTS)
def test_config_survives_config_json(variant):
    config = getattr(DiTConfig, variant)()
    assert config_from_json(config_to_json(config)) == config
    own = replace(config, final_adaln_eps=1e-6, rope_theta=500.0, ffn_multiplier=3)
    assert config_from_json(config_to_json(own)) == own


@pytest.mark.parametrize("style", styles()[-1:])
def test_scanned_and_unscanned_layers_are_the_same_operations(style):
    scanned, unscanned = load(style), load(style, scan_layers=False)
    assert set(to_state(scanned[1], RULES)) == set(to_state(unscanned[1], RULES))
    args = inputs(style)
    # Compiled whole, XLA may fuse the two differently and so change a last bit; operation by operation not.
    with jax.disable_jit():
        exact = [model.apply(params, *args) for model, params, _ in (scanned, unscanned)]
    np.testing.assert_array_equal(*exact)
    assert error(predict(*scanned[:2], *args), predict(*unscanned[:2], *args)) < 2e-6


def test_places_on_another_grid_are_scaled_or_counted():
    def output(rope_grid: str, width: int):
        model = DiT(replace(SMALL_DIT, rope_grid=rope_grid))
        latents = jax.random.normal(jax.random.key(1), (1, 2, 4, width, 2))
        return predict(model, params, latents, jnp.array([500.0]), Conditions(jnp.ones((1, 3, 4))))

    params = scaled_weights(DiT(SMALL_DIT))
    np.testing.assert_array_equal(output("resize", 6), output("slice", 6))
    assert np.abs(output("resize", 8) - output("slice", 8)).max() > 1e-3


def test_learned_positions_are_stretched_to_another_grid():
    model = DiT(replace(SMALL_DIT, positions="rope_learned"))
    params = scaled_weights(model)
    table = jnp.zeros((3 + 2 * 2 * 3, 32)).at[:, 0].set(7.0)
    params["params"]["patch_embed"]["pos_embedding"] = table

    def embed(size):
        latents, text = jnp.zeros((1, *size, 2)), jnp.zeros((1, 3, 4))
        return model.apply(params, latents, text, method=lambda m, *a: m.patch_embed(*a))

    video: Any
    larger: Any
    (text, video), (_, larger) = embed((2, 4, 6)), embed((3, 6, 8))
    bias = params["params"]["patch_embed"]["proj"]["bias"]
    np.testing.assert_allclose(video[0, :, 0] - bias[0], 7.0, rtol=1e-6)
    np.testing.assert_allclose(larger[0, :, 0] - bias[0], 7.0, rtol=1e-6)
    assert larger.shape == (1, 3 * 3 * 4, 32)
    assert text.shape == (1, 3, 32)


def test_sizes_that_do_not_fit_are_named():
    timed = DiT(replace(SMALL_DIT, patch_size_t=2))
    model, shapes = DiT(SMALL_DIT), parameter_shapes(DiT(SMALL_DIT))
    text, t, clean = jnp.zeros((1, 3, 4)), jnp.zeros(1), jnp.zeros((1, 2), bool)

    def attempt(model, size, params, clean=None):
        jax.eval_shape(model.apply, params, jnp.zeros(size), t, Conditions(text, clean_mask=clean))

    with pytest.raises(UserError, match="5 x 4"):
        attempt(model, (1, 2, 5, 4, 2), shapes)
    with pytest.raises(UserError, match="9 channels"):
        attempt(model, (1, 2, 4, 4, 9), shapes)
    with pytest.raises(UserError, match="3 latent frames.*divisible by 2"):
        attempt(timed, (1, 3, 4, 4, 2), parameter_shapes(timed))
    with pytest.raises(UserError, match="keyframes"):
        attempt(timed, (1, 2, 4, 4, 2), parameter_shapes(timed), clean)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_head_dim": 24}, "multiple of 16"),
        ({"num_layers": 0}, "num_layers 0: must be at least 1"),
        ({"positions": "none"}, "positions"),
        ({"rope_grid": "stretch"}, "rope_grid"),
        ({"positions": "sincos", "patch_size_t": 2}, "patch_size_t"),
        ({"ofs_embed_dim": 16}, "ofs_embed_dim"),
    ],
)
def test_configs_that_cannot_be_are_named(changes, message):
    with pytest.raises(UserError, match=message):
        replace(SMALL_DIT, **changes)


def test_config_json_that_cannot_be_is_named():
    values = config_to_json(SMALL_DIT)
    with pytest.raises(UserError, match="patch_bias"):
        config_from_json(values | {"patch_bias": False})
    learned = {"use_learned_positional_embeddings": True, "use_rotary_positional_embeddings": False}
    with pytest.raises(UserError, match="learned"):
        config_from_json(values | learned)
    with pytest.raises(UserError, match="num_experts"):
        config_from_json(values | {"num_experts": 3})
