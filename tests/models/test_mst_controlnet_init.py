"""What a new controlnet starts as: every initialiser by its statistics, and what the injection does to a backbone."""

import math
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pipeline_folders import SMALL_DIT
from random_weights import scaled_weights

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.models.dit import DiT
from mtv_jax.models.mst_controlnet import AudioInjection, MSTControlNetConfig
from mtv_jax.models.mtv import MTV, MTVConfig
from mtv_jax.models.registry import controlnet_parameters
from mtv_jax.models.shapes import init_key, init_params
from mtv_jax.ops.rope import rope_axis_dims, rope_table
from mtv_jax.weights.rules import flat_paths, from_flat_paths

WIDTH, TIME, LAYERS = 64, 32, 3
DIT = replace(SMALL_DIT, num_layers=LAYERS, num_attention_heads=4, time_embed_dim=TIME)
CONTROL = MSTControlNetConfig(
    audio_layers=2,
    audio_channels=16,
    window=3,
    projection_width=48,
    context_tokens=2,
    width=WIDTH,
    interaction_blocks=2,
    interaction_heads=4,
)
SHARED = replace(CONTROL, separate_injection=False)
FORMS = {
    "two speakers": replace(CONTROL, num_speakers=2),
    "paper": replace(CONTROL.as_paper(), separate_extraction=False, separate_injection=False),
}
FAN_IN = {"proj1": 3 * 2 * 16, "proj2": 48, "proj3": 48, "conv": 2 * 2 * WIDTH}
INITIAL = (
    # torch's default for linear layers and convolutions, weight and bias.
    *(
        (rf"controlnet/(speech|effects|music)/{name}/(kernel|bias)", ("uniform", 1 / math.sqrt(fan_in)))
        for name, fan_in in FAN_IN.items()
    ),
    (r"controlnet/blocks/modulation/(kernel|bias)", ("uniform", 1 / math.sqrt(TIME))),
    # N(0, .02), and for what ends a residual branch .02 / sqrt(2 layers): one in a block, all in the backbone.
    (r"controlnet/blocks/(to_[qkv]|up(_\w+)?)/kernel", ("normal", 0.02)),
    (r"controlnet/blocks/(to_out|down(_\w+)?)/kernel", ("normal", 0.02 / math.sqrt(2))),
    (r"transformer/blocks/injection/attn_\w+/to_[qkv]/kernel", ("normal", 0.02)),
    (r"transformer/blocks/injection/attn_\w+/to_out/kernel", ("normal", 0.02 / math.sqrt(2 * LAYERS))),
    (r"transformer/blocks/injection/music_modulation/(kernel|bias)", ("constant", 0.0)),
    (r"controlnet/speaker_embedding_[01]", ("constant", 0.0)),
    (r".*/(post_)?norm(_\w+)?/scale", ("constant", 1.0)),
    (r".*/(post_)?norm(_\w+)?/bias", ("constant", 0.0)),
    (r"controlnet/blocks/(to_(q|k|v|out)|(up|down)(_\w+)?)/bias", ("constant", 0.0)),
    (r"transformer/blocks/injection/attn_\w+/to_(q|k|v|out)/bias", ("constant", 0.0)),
)
"""Paths -> how a new parameter is drawn in the released code: its law, and bound, deviation or value."""


@pytest.mark.parametrize("form", FORMS)
def test_new_parameters_are_drawn_as_in_the_released_code(form):
    model = MTV(MTVConfig(DIT, FORMS[form]))
    for path, leaf in new_parameters(model, 0, *controlnet_parameters("mtv")).items():
        (law,) = {law for pattern, law in INITIAL if re.fullmatch(pattern, path)}
        check(path, np.asarray(leaf, np.float64), *law)


def new_parameters(model: MTV, seed: int, *patterns: str) -> dict[str, jax.Array]:
    """Those of a new network at the paths that match; the others are not compiled."""

    def draw(key):
        flat = flat_paths(init_params(model, key))
        return {path: x for path, x in flat.items() if any(re.fullmatch(p, path) for p in patterns)}

    return jax.jit(draw)(init_key(seed))


def check(path: str, x: np.ndarray, law: str, value: float) -> None:
    """Five standard errors about mean and deviation; the greatest tells a uniform law from a normal one."""
    if law == "constant":
        assert np.all(x == value), path
        return
    std = value / math.sqrt(3) if law == "uniform" else value
    kurtosis = 1.8 if law == "uniform" else 3.0
    assert abs(x.mean()) < 5 * std / math.sqrt(x.size), path
    assert x.std() == pytest.approx(std, rel=5 * math.sqrt((kurtosis - 1) / (4 * x.size))), path
    greatest = np.abs(x).max()
    assert greatest <= value if law == "uniform" else greatest > 2.5 * std, path
    if "blocks/" in path:
        assert not np.array_equal(x[0], x[1]), f"{path}: layers alike"


def tokens(*shape: int, seed: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def standardise(x):
    """The backbone's norms of queries and keys as they begin."""
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-6)


def injected(config: MSTControlNetConfig, heads: int, layers: int, names=("speech", "effects")):
    """Unit-RMS video tokens of two frames of eight tokens, and what a new layer makes of them with such sound."""
    module = AudioInjection(config, heads, layers)
    video = tokens(1, 16, heads * 64, seed=0)
    control = {
        name: tokens(1, 2, config.context_tokens, config.width, seed=i) for i, name in enumerate(names, 1)
    }
    if config.separate_injection:
        control["music"] = tokens(1, config.width, seed=9)
    rope = rope_table((np.arange(2), np.arange(2), np.arange(4)), rope_axis_dims(64))

    def apply(key):
        args = (video, control, (standardise, standardise), tuple(map(jnp.asarray, rope)))
        return module.apply(module.init(key, *args), *args)

    return np.asarray(video), np.asarray(jax.jit(apply)(init_key(0)))


def test_one_layer_of_full_width_injects_little():
    """sqrt(768) .02 of values, averaged by attention over 32 tokens, times sqrt(3072) .02 / sqrt(84); two tracks."""
    before, after = injected(MSTControlNetConfig.released(), heads=48, layers=42)
    assert np.sqrt(np.mean(before**2)) == pytest.approx(1.0, abs=0.01)
    assert np.sqrt(np.mean((after - before) ** 2)) == pytest.approx(0.026, rel=0.1)


@pytest.mark.parametrize("config", [CONTROL, CONTROL.as_paper(), SHARED], ids=["released", "paper", "shared"])
def test_an_injection_that_starts_at_zero_gives_the_video_back_bit_by_bit(config):
    names = ("speech", "effects") if config.separate_injection else ("shared",)
    before, after = injected(replace(config, zero_init_injection=True), heads=1, layers=2, names=names)
    np.testing.assert_array_equal(after, before)


def test_a_controlnet_that_starts_at_zero_leaves_the_backbone_as_it_was():
    model = MTV(MTVConfig(SMALL_DIT, replace(CONTROL, zero_init_injection=True)))
    drawn = flat_paths(scaled_weights(model, 1))
    params = from_flat_paths(drawn | new_parameters(model, 1, "transformer/blocks/injection/.*"))
    given, text = (tokens(1, 2, 4, 6, 2, seed=0), jnp.array([300.0])), tokens(1, 3, 4, seed=1)
    sound = {name: tokens(1, 5, 2, 16, seed=i) for i, name in enumerate(("speech", "effects", "music"), 2)}
    with_sound = jax.jit(model.apply)(params, *given, Conditions(text, sound))
    backbone = params["params"]["transformer"]
    backbone |= {"blocks": {k: v for k, v in backbone["blocks"].items() if k != "injection"}}
    without = jax.jit(DiT(SMALL_DIT).apply)({"params": backbone}, *given, Conditions(text))
    np.testing.assert_array_equal(with_sound, without)
