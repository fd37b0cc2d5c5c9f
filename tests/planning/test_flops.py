"""Operations counted in traced programs."""

import re
from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import pallas as pl

from mtv_jax.models.mst_controlnet import MSTControlNet, MSTControlNetConfig
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.planning.chips import peak_flops
from mtv_jax.planning.flops import count_flops, forward_flops, num_tokens
from mtv_jax.planning.plans import latent_size
from mtv_jax.planning.programs import denoiser_inputs
from mtv_jax.planning.sizes import LatentSize
from mtv_jax.planning.tracing import trace
from mtv_jax.sharding.rules import map_paths

FULL = LatentSize(13, 60, 90)
TRAINABLE = (
    r"controlnet/|transformer/blocks/injection/|transformer/blocks/attn1/to_|transformer/blocks/norm2/norm/"
)
"""What MTV's stages train."""


def everything(path):
    return True


def stage(path):
    return re.match(TRAINABLE, path) is not None


def forward_of(function, *shapes):
    return count_flops(trace(function, *shapes, platform="cpu").jaxpr).forward


@cache
def forward_pass(name, variant, size, **controlnet):
    overrides = {"controlnet": controlnet} if controlnet else {}
    model = make_model(name, make_config(name, variant, overrides))
    return forward_flops(model, size or latent_size(model))


@pytest.mark.parametrize(
    ("name", "variant", "size", "controlnet", "trains", "forward", "needed"),
    [
        # Counted from parameter paths and shapes, kernel by kernel, before there was a count of programs.
        ("dit", "cogvideox_5b", FULL, {}, everything, 3.32198e14, 9.96593e14),
        ("dit", "cogvideox_1_5_5b", LatentSize(14, 60, 90), {}, everything, 1.40386e14, 4.21159e14),
        ("mtv", "mtv_5b", FULL, {}, everything, 3.89083e14, 1.16725e15),
        ("mtv", "mtv_5b", FULL, {}, stage, 3.89083e14, 1.05449e15),
        ("mtv", "mtv_5b", FULL, {"num_speakers": 2}, everything, 4.17477e14, 1.25243e15),
        ("mtv", "mtv_5b", FULL, {"separate_extraction": False}, stage, 3.89108e14, 1.05456e15),
        ("mtv", "mtv_5b", FULL, {"separate_injection": False}, stage, 3.61713e14, 9.72379e14),
        ("mtv", "mtv_5b_paper", FULL, {}, everything, 3.88909e14, 1.16673e15),
        ("mtv", "tiny", None, {}, everything, 1.24011e9, 3.72034e9),
    ],
)
def test_passes_of_published_sizes(name, variant, size, controlnet, trains, forward, needed):
    flops = forward_pass(name, variant, size, **controlnet)
    assert flops.total == pytest.approx(forward, rel=0.005)
    found, run = flops.training(trains, recomputes=True)
    assert found == pytest.approx(needed, rel=0.02)
    assert run == found + flops.total
    assert flops.training(trains, recomputes=False) == (found, found)


@pytest.mark.parametrize(
    ("variant", "tokens"), [("cogvideox_5b", 17_776), ("cogvideox_1_5_5b", 7 * 1350 + 226)]
)
def test_tokens_of_a_clip(variant, tokens):
    """13 latent frames: 17,550 tokens of video and 226 of text; in 1.5 two frames share a token."""
    text = {"max_text_seq_length": 226}
    assert num_tokens(make_model("dit", make_config("dit", variant, text)), FULL) == tokens


@pytest.mark.parametrize(
    ("name", "trains"), [("dit", everything), ("dit", lambda path: "blocks/attn1" in path), ("mtv", stage)]
)
def test_the_program_of_the_gradient_has_as_many_products_as_training_needs(name, trains):
    model = make_model(name, make_config(name, "tiny"))
    size, flops = latent_size(model), forward_pass(name, "tiny", None)
    leaves, tree = jax.tree.flatten(flops.params)
    trained = jax.tree.leaves(map_paths(lambda path, _: trains(path), flops.params))

    def loss(some, others, *inputs):
        some, others = iter(some), iter(others)
        params = jax.tree.unflatten(tree, [next(some if t else others) for t in trained])
        return jnp.sum(jnp.square(model.apply(params, *inputs)))

    parts = ([x for x, t in zip(leaves, trained, strict=True) if t == wanted] for wanted in (True, False))
    both = forward_of(jax.grad(loss), *parts, *denoiser_inputs(model, size, 1))
    needed, _ = flops.training(trains, recomputes=False)
    assert needed == pytest.approx(both, rel=0.002)


def test_nothing_is_needed_backwards_where_nothing_trains():
    flops = forward_pass("dit", "tiny", None)
    assert flops.training(lambda path: False, recomputes=False) == (flops.total, flops.total)


def test_xla_counts_the_same_where_nothing_is_scanned():
    model = make_model("dit", make_config("dit", "tiny", {"num_layers": 2}), scan_layers=False)
    size = latent_size(model)
    lowered = jax.jit(model.apply).lower(parameter_shapes(model), *denoiser_inputs(model, size, 1))
    # XLA also counts norms, softmax and activations.
    assert forward_flops(model, size).total == pytest.approx(lowered.cost_analysis()["flops"], rel=0.1)


def test_xla_counts_the_same_of_sound():
    tiny = MSTControlNetConfig.tiny()
    control = replace(
        tiny, separate_feed_forward=True, temporal_compression_ratio=4, projection_width=64, window=1
    )
    frames = control.sound_frames(9)
    audio = dict.fromkeys(("speech", "effects", "music"), jnp.zeros((1, frames, 1, 4, 64)))
    given = (audio, jnp.zeros((1, 64)))
    module = MSTControlNet(control, scan_layers=False)
    params = jax.eval_shape(module.init, jax.random.key(0), *given)
    counted = jax.jit(module.apply).lower(params, *given).cost_analysis()["flops"]
    assert forward_of(module.apply, params, *given) == pytest.approx(counted, rel=0.1)


A, B = jnp.zeros((4, 8)), jnp.zeros((8, 8))
PRODUCT = 2 * 4 * 8 * 8


def scanned(a, b):
    return jax.lax.scan(lambda carry, _: (carry @ b, None), a, length=5)[0]


def branches(a, b):
    return jax.lax.cond(a[0, 0] > 0, lambda: a @ b @ b, lambda: a @ b)


def of_unknown_length(a, b):
    return jax.lax.while_loop(lambda carry: carry[0, 0] > 0, lambda carry: carry @ b, a)


def in_a_kernel(a, b):
    def kernel(a_ref, b_ref, out_ref):
        out_ref[...] = a_ref[...] @ b_ref[...]

    whole = [pl.BlockSpec((4, 8), lambda i: (0, 0)), pl.BlockSpec((8, 8), lambda i: (0, 0))]
    tall = pl.BlockSpec((4, 8), lambda i: (i, 0))
    shape = jax.ShapeDtypeStruct((12, 8), a.dtype)
    return pl.pallas_call(kernel, shape, grid=3, in_specs=whole, out_specs=tall)(a, b)


@jax.custom_vjp
def with_a_gradient_of_its_own(a, b):
    return a @ b


with_a_gradient_of_its_own.defvjp(
    lambda a, b: (a @ b, (a, b)), lambda kept, g: (g @ kept[1].T, kept[0].T @ g)
)


@pytest.mark.parametrize(
    ("function", "products"),
    [
        (jnp.matmul, 1),
        (scanned, 5),
        (lambda a, b: jax.lax.map(lambda x: scanned(x, b), jnp.stack([a] * 3)), 15),
        (branches, 2),
        (of_unknown_length, 1),
        (in_a_kernel, 3),
        (jax.jit(scanned), 5),
        (jax.checkpoint(scanned), 5),
        (with_a_gradient_of_its_own, 1),
        (lambda a, b: jax.nn.relu(a) @ b, 1),
    ],
)
def test_products_count_as_often_as_they_are_run(function, products):
    assert forward_of(function, A, B) == products * PRODUCT


@pytest.mark.parametrize(
    ("function", "trained", "gradients"),
    [
        (jnp.matmul, [True, False], 1),
        (jnp.matmul, [True, True], 2),
        # The carry depends on b from the second round on, and the program of all rounds is one.
        (scanned, [False, True], 10),
        (scanned, [True, False], 5),
        (lambda a, b: jax.lax.stop_gradient(a) @ b, [True, False], 0),
        (lambda a, b: (a > 0).astype(jnp.float32) @ b, [True, False], 0),
        (branches, [True, False], 2),
        (of_unknown_length, [False, True], 2),
        (in_a_kernel, [True, False], 6),
        (with_a_gradient_of_its_own, [False, True], 1),
        # Of the second product, an input that the first one gave.
        (lambda a, b: (a @ b) @ jnp.ones((8, 8)), [False, True], 2),
    ],
)
def test_gradients_are_needed_of_what_depends_on_trained_inputs(function, trained, gradients):
    found = count_flops(trace(function, A, B, platform="cpu").jaxpr, trained)
    assert found.backward == gradients * PRODUCT


@pytest.mark.parametrize(
    ("groups", "dilation", "terms"), [(1, 1, 3 * 3 * 4), (2, 1, 3 * 3 * 2), (1, 2, 3 * 3 * 4 / 4)]
)
def test_convolutions_count_by_group_and_without_the_zeros_of_transposed_ones(groups, dilation, terms):
    convolve = partial(
        jax.lax.conv_general_dilated,
        window_strides=(1, 1),
        padding=[(1, 1), (1, 1)],
        lhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    picture, kernel = jnp.zeros((1, 6, 6, 4)), jnp.zeros((3, 3, 4 // groups, 8))
    outputs = jax.eval_shape(convolve, picture, kernel).size
    assert forward_of(convolve, picture, kernel) == 2 * terms * outputs


def test_the_count_is_not_of_what_this_machine_would_run(monkeypatch):
    """A GPU's kernel of attention shows no products."""
    model = make_model("dit", make_config("dit", "tiny", {"num_layers": 1}), dtype=jnp.bfloat16)
    size = LatentSize(25, 48, 48)
    expected = forward_flops(model, size).total
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert forward_flops(model, size).total == expected
    assert expected > 4 * num_tokens(model, size) ** 2 * model.config.width


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
