"""Parameter shapes without parameters, and small inputs that every network accepts."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.dit import DiT, DiTConfig
from mtv_jax.models.mtv import MTV
from mtv_jax.typing import Key, Params


def parameter_shapes(model: nn.Module) -> Params:
    """The tree of ShapeDtypeStructs of a network's parameters (`jax.eval_shape`; nothing is allocated)."""
    return jax.eval_shape(partial(init_params, model), jax.random.key(0))


def random_params(model: nn.Module, seed: int) -> Params:
    """Fresh parameters of a network of the registry."""
    return jax.jit(partial(init_params, model))(init_key(seed))


def init_key(seed: int) -> Key:
    """The key to initialise parameters with.

    Its generator is one instruction. The default one is written out for each of a hundred parameters, which took
    XLA a minute to compile for CPUs where this takes seconds.
    """
    return jax.random.key(seed, impl="unsafe_rbg")


def init_params(model: nn.Module, key: Key) -> Params:
    """Fresh parameters, not compiled: see `random_params`."""
    inputs = _example_inputs(model)
    return {"params": model.init(key, *inputs)["params"]}


def _example_inputs(model: Any) -> tuple[Any, ...]:
    name = type(model).__name__
    if isinstance(model, MTV):
        features = (1, 5, model.config.controlnet.audio_layers, model.config.controlnet.audio_channels)
        tracks = ["speech", "effects", "music"] + ["speech2"] * (model.config.controlnet.num_speakers - 1)
        return *_denoiser_inputs(model.config.dit), {track: jnp.zeros(features) for track in tracks}
    if isinstance(model, DiT):
        return _denoiser_inputs(model.config)
    if name == "VAE3D":
        return (jnp.zeros((1, 1, 16, 16, 3)),)
    if name == "T5Encoder":
        return (jnp.zeros((1, 2), jnp.int32),)
    if name == "Wav2Vec2":
        return (jnp.zeros((1, 800)),)
    raise UserError(f"network {name}: no example inputs known")


def _denoiser_inputs(config: DiTConfig) -> tuple[Any, ...]:
    # Two latent frames, of five pixel frames: with one the audio projection would not meet its convolution.
    latents = jnp.zeros((1, 2, config.patch_size, config.patch_size, config.in_channels))
    return latents, jnp.zeros(1), jnp.zeros((1, 1, config.text_embed_dim))
