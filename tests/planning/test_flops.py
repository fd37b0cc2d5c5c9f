"""Operations counted from shapes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from mtv_jax.models.dit import DiTConfig
from mtv_jax.models.mst_controlnet import MSTControlNet, MSTControlNetConfig
from mtv_jax.models.mtv import MTVConfig
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.planning.chips import peak_flops
from mtv_jax.planning.flops import LatentSize, forward_flops, num_tokens

FULL = LatentSize(13, 60, 90)


@pytest.mark.parametrize(
    ("name", "variant", "overrides", "expected"),
    [
        # CogVideoX-5b, with MTV's audio, and with two speakers: figures of the published sizes in TFLOP.
        ("dit", "cogvideox_5b", {}, 332),
        ("mtv", "mtv_5b", {}, 389),
        ("mtv", "mtv_5b", {"controlnet": {"num_speakers": 2}}, 417),
    ],
)
def test_full_size_passes(name, variant, overrides, expected):
    model = make_model(name, make_config(name, variant, overrides))
    assert forward_flops(model, FULL).total / 1e12 == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize(
    ("variant", "tokens"), [("cogvideox_5b", 17_776), ("cogvideox_1_5_5b", 7 * 1350 + 226)]
)
def test_tokens_of_a_clip(variant, tokens):
    """13 latent frames: 17,550 tokens of video and 226 of text; in 1.5 two frames share a token."""
    text = {"max_text_seq_length": 226}
    assert num_tokens(make_model("dit", make_config("dit", variant, text)), FULL) == tokens


def test_the_compiler_counts_the_same_where_nothing_is_scanned():
    small = {"num_layers": 2, "num_attention_heads": 2, "text_embed_dim": 32, "max_text_seq_length": 64}
    small |= {"patch_size": 2, "in_channels": 16, "out_channels": 16}
    model = make_model("dit", make_config("dit", "tiny", small), scan_layers=False)
    size = LatentSize(3, 16, 16)
    inputs = (jnp.zeros((1, 3, 16, 16, 16)), jnp.zeros(1), jnp.zeros((1, 64, 32)))
    compiled = jax.jit(model.apply).lower(parameter_shapes(model), *inputs).compile()
    counted = compiled.cost_analysis()["flops"]
    # The compiler also counts norms, softmax and activations, which are a few per cent.
    assert forward_flops(model, size).total == pytest.approx(counted, rel=0.1)


@pytest.mark.parametrize(("ratio", "apart"), [(1, False), (2, False), (4, False), (1, True)])
def test_the_compiler_counts_the_same_of_sound(ratio, apart):
    control = MSTControlNetConfig.tiny()
    control = replace(
        control, separate_feed_forward=apart, temporal_compression_ratio=ratio, projection_width=64, window=1
    )
    module = MSTControlNet(control, scan_layers=False)
    frames = control.sound_frames(9)
    audio = dict.fromkeys(("speech", "effects", "music"), jnp.zeros((1, frames, 1, 4, 64)))
    given = (audio, jnp.zeros((1, 64)))
    params = jax.eval_shape(module.init, jax.random.key(0), *given)
    counted = jax.jit(module.apply).lower(params, *given).compile().cost_analysis()["flops"]
    model = make_model("mtv", MTVConfig(DiTConfig.tiny(), control))
    flops = forward_flops(model, LatentSize(9, 8, 8)).kernels
    own = sum(count for path, count in flops.items() if path.startswith("controlnet/"))
    assert own == pytest.approx(counted, rel=0.1)


def test_what_is_frozen_needs_no_gradient_of_its_own():
    model = make_model("mtv", make_config("mtv", "tiny"))
    flops = forward_flops(model, LatentSize(7, 8, 12))
    everything, _ = flops.training(lambda path: True, recomputes=False)
    nothing, _ = flops.training(lambda path: False, recomputes=False)
    assert everything == pytest.approx(3 * flops.total)
    assert nothing == pytest.approx(2 * flops.total + flops.attention)
    assert flops.training(lambda path: True, recomputes=True)[1] == pytest.approx(4 * flops.total)


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("TPU v5 lite", 197e12),
        ("TPU v5", 459e12),
        ("TPU v6 lite", 918e12),
        ("TPU7x", 1153.5e12),  # JAX sees two devices a chip
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA L4", 121e12),
        ("cpu", None),
    ],
)
def test_the_peak_of_devices_by_the_names_jax_gives_them(kind, peak):
    assert peak_flops(kind) == peak
