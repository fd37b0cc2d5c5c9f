"""With `dtype=bfloat16` products run on bfloat16, and norms, softmax, positions and schedules do not."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from precision import ACTIVATIONS, low_precision, products
from sampler_loop import sample

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.losses import denoising_loss
from mtv_jax.diffusion.mosaic.contexts import Contexts
from mtv_jax.diffusion.noise.vp import Schedule
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.models.beats import BEATs, BEATsConfig
from mtv_jax.models.dit import DiT, DiTConfig
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.unet.model import Layer
from mtv_jax.ops.rope import apply_rope

LATENTS = (1, 2, 4, 4)
FULL_SIZE = {
    "dit": {},
    "mtv": {"controlnet": {"temporal_compression_ratio": 4}},
    "vae3d": {"temporal_compression_ratio": 4, "temporal_kernel_size": 3},
}
"""Of the tiny networks, so that all that a network of full size does is in them."""


def float32(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def denoiser(name: str):
    """A denoiser with keyframes, and sound if it takes any."""
    model = make_model(name, make_config(name, "tiny", FULL_SIZE[name]), dtype=jnp.bfloat16)
    config = model.config.dit if name == "mtv" else model.config
    tracks = {}
    if name == "mtv":
        control = model.config.controlnet
        features = float32(1, control.sound_frames(2), control.audio_layers, control.audio_channels)
        tracks = dict.fromkeys(model.tracks, features)
    mask = jax.ShapeDtypeStruct(LATENTS[:2], bool)
    conditions = Conditions(float32(1, 3, config.text_embed_dim), tracks, mask)
    return model.apply, model.init, (float32(*LATENTS, config.in_channels), float32(1), conditions)


def latest_denoiser():
    """CogVideoX 1.5 for images: tokens of two frames and the second sinusoid."""
    shape = DiTConfig(1, 1, 16, positions="rope", patch_size_t=2, time_embed_dim=8, ofs_embed_dim=8)
    model = DiT(shape, dtype=jnp.bfloat16)
    conditions = Conditions(float32(1, 3, shape.text_embed_dim))
    return model.apply, model.init, (float32(*LATENTS, shape.in_channels), float32(1), conditions)


def encoder(name: str, *inputs: jax.ShapeDtypeStruct):
    model = make_model(name, make_config(name, "tiny"), dtype=jnp.bfloat16)
    return model.apply, model.init, inputs


def beats():
    model = BEATs(BEATsConfig.tiny(), dtype=jnp.bfloat16)
    return model.apply, model.init, (float32(1, 32, 128), jax.ShapeDtypeStruct((1, 16), bool))


def imagebind():
    model = make_model("imagebind", make_config("imagebind", "tiny"), dtype=jnp.bfloat16)
    tokens = jax.ShapeDtypeStruct((1, model.config.context_length), jnp.int32)
    return model.apply, model.init, (float32(1, 2, 8, 8, 3), tokens, float32(1, 128, 204))


def unet_layer():
    """A layer of a video UNet: a UNet is many of them."""
    config = make_config("videocrafter", "tiny")
    layer = Layer(config, 16, attention=True, dtype=jnp.bfloat16)
    context = Contexts(float32(1, 2, 3, config.text_embed_dim))
    return layer.apply, layer.init, (float32(2, 4, 4, 16), float32(1, 8), context)


def clap():
    """With fusion, which has all parts."""
    config = make_config("clap", "tiny", {"audio": {"enable_fusion": True}})
    model = make_model("clap", config, dtype=jnp.bfloat16)
    return model.apply, model.init, (float32(1, 4, 9, 8), jax.ShapeDtypeStruct((1, 2), jnp.int32))


def pictures(method: str):
    model = make_model(
        "kl_vae", make_config("kl_vae", "tiny", {"block_out_channels": (4, 8)}), dtype=jnp.bfloat16
    )
    shape = (1, 2, 4, 4, 3) if method == "encode" else (1, 2, 2, 2, model.config.latent_channels)
    return partial(model.apply, method=method), partial(model.init, method=method), (float32(*shape),)


def autoencoder(method: str, frames: int):
    model = make_model("vae3d", make_config("vae3d", "tiny", FULL_SIZE["vae3d"]), dtype=jnp.bfloat16)
    shape = (1, frames, 16, 16, 3) if method == "encode" else (1, frames, 2, 2, model.config.latent_channels)
    return partial(model.apply, method=method), partial(model.init, method=method), (float32(*shape),)


NETWORKS = {
    "dit": partial(denoiser, "dit"),
    "dit 1.5": latest_denoiser,
    "mtv": partial(denoiser, "mtv"),
    "t5": partial(encoder, "t5", jax.ShapeDtypeStruct((1, 4), jnp.int32), jax.ShapeDtypeStruct((1, 4), bool)),
    "wav2vec2": partial(encoder, "wav2vec2", float32(1, 1000)),
    "beats": beats,
    "imagebind": imagebind,
    "layer of a UNet": unet_layer,
    "resunet": partial(encoder, "resunet", float32(1, 1000), float32(1, 16)),
    "clap": clap,
    "cim": partial(encoder, "cim", float32(1, 4, 12)),
    "clip_text": partial(encoder, "clip_text", jax.ShapeDtypeStruct((1, 4), jnp.int32)),
    "kl_vae encode": partial(pictures, "encode"),
    "kl_vae decode": partial(pictures, "decode"),
    "vae3d encode": partial(autoencoder, "encode", 5),
    "vae3d encode, one frame": partial(autoencoder, "encode", 1),
    "vae3d decode": partial(autoencoder, "decode", 2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_only_products_and_activations_are_in_bfloat16(name):
    apply, init, inputs = NETWORKS[name]()
    params = jax.eval_shape(init, jax.random.key(0), *inputs)
    assert low_precision(apply, params, *inputs, allowed=ACTIVATIONS) == []
    assert "bfloat16" in products(apply, params, *inputs)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm++"])
def test_samplers_and_losses_are_in_float32_for_bfloat16_latents(sampler):
    schedule, low = Schedule.create(), jax.ShapeDtypeStruct((*LATENTS, 16), jnp.bfloat16)

    def run(x, keys):
        return sample(lambda x, t: x.astype(jnp.bfloat16), x, keys, schedule, SamplerConfig(sampler, 3))

    def loss(x0, noise, prediction):
        return denoising_loss(
            schedule, x0, noise, jnp.array([7]), prediction, kind="x0_snr", motion_weight=1.0
        )

    assert low_precision(run, low, jax.random.split(jax.random.key(0), LATENTS[0])) == []
    assert low_precision(loss, low, low, low) == []


def test_what_is_in_bfloat16_is_found_inside_calls_and_loops():
    x = jnp.ones((4, 8), jnp.bfloat16)

    def body(carry, _):
        return jax.checkpoint(jax.jit(jax.nn.softmax))(carry), None

    def scanned(x):
        return jax.lax.scan(body, x, None, length=2)[0]

    names = {found.split(" in ")[0] for found in low_precision(scanned, x)}
    assert {"exp", "div", "reduce_max"} <= names
    assert low_precision(scanned, x.astype(jnp.float32)) == []
    assert low_precision(jax.nn.silu, x)
    assert low_precision(jax.nn.silu, x, allowed=ACTIVATIONS) == []


def test_rotations_are_in_float32():
    table = jnp.ones((4, 8))
    jaxpr = jax.make_jaxpr(apply_rope)(jnp.ones((1, 4, 2, 16), jnp.bfloat16), table, table).jaxpr
    products = [e for e in jaxpr.eqns if e.primitive.name in ("mul", "add", "sub")]
    assert products
    avals: list[Any] = [v.aval for e in products for v in e.outvars]
    assert {aval.dtype for aval in avals} == {jnp.dtype(jnp.float32)}
