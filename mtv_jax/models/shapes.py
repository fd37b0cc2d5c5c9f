"""Parameter shapes without parameters, their number, and small inputs that every network accepts."""

import math
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.errors import UserError
from mtv_jax.models.dit import DiT, DiTConfig
from mtv_jax.models.mtv import MTV
from mtv_jax.models.syncsynth import CONTEXT, LEVELS, SIDE
from mtv_jax.ops.seeds import seed_key
from mtv_jax.typing import Array, Key, Params

_OPENED = ("blocks", "controlnet", "transformer", "transformer/blocks", "transformer/blocks/injection")
"""Groups of parameters that are counted by what they hold; every other one is a part."""


def parameter_shapes(model: nn.Module) -> Params:
    """The tree of ShapeDtypeStructs of a network's parameters (`jax.eval_shape`; nothing is allocated)."""
    return jax.eval_shape(partial(init_params, model), jax.random.key(0))


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Number of parameters of each part of a network, such as `blocks/attn1` (all layers) or `patch_embed`."""
    counts: Counter[str] = Counter()
    shapes: dict[Any, Any] = flatten_dict(parameter_shapes(model)["params"])
    for path, leaf in shapes.items():
        counts[_part(path)] += math.prod(leaf.shape)
    return dict(counts)


def random_params(model: nn.Module, seed: int) -> Params:
    """Fresh parameters of a network of the registry."""
    return _init_compiled(model, init_key(seed))


def init_key(seed: int) -> Key[Array, ""]:
    """The key to initialise parameters with.

    Its generator is one instruction. The default one is written out for each of a hundred parameters, which took
    XLA a minute to compile for CPUs where this takes seconds.
    """
    return seed_key(seed, impl="unsafe_rbg")


def init_params(model: nn.Module, key: Key[Array, ""]) -> Params:
    """Fresh parameters, not compiled: see `random_params`."""
    inputs = _example_inputs(model)
    return {"params": model.init(key, *inputs, method=_all_of_it)["params"]}


_init_compiled = jax.jit(init_params, static_argnums=0)


def _all_of_it(model: Any, *inputs: Any) -> None:
    """Calls a network so that all of its parts come into being: a classifier is not in its own call."""
    output = model(*inputs)
    if hasattr(model, "class_probabilities") and model.config.num_classes is not None:
        model.class_probabilities(output[:, -1])


def _example_inputs(model: Any) -> tuple[Any, ...]:
    name = type(model).__name__
    if isinstance(model, MTV):
        control = model.config.controlnet
        features = (1, control.sound_frames(2), control.audio_layers, control.audio_channels)
        latents, timesteps, conditions = _denoiser_inputs(model.config.dit)
        tracks = {track: jnp.zeros(features) for track in control.tracks}
        return latents, timesteps, replace(conditions, tracks=tracks)
    if isinstance(model, DiT):
        return _denoiser_inputs(model.config)
    if name == "VAE3D":
        return (jnp.zeros((1, 1, 16, 16, 3)),)
    if name == "T5Encoder":
        return (jnp.zeros((1, 2), jnp.int32),)
    if name == "Wav2Vec2":
        return (jnp.zeros((1, 800)),)
    if name == "BEATs":
        patch = model.config.input_patch_size
        return (jnp.zeros((1, patch, patch)),)
    if name == "SyncTowers":
        return jnp.zeros((1, 1 + CONTEXT, SIDE, SIDE)), jnp.zeros((1, 1 + CONTEXT, *LEVELS))
    raise UserError(f"network {name}: no example inputs known")


def _denoiser_inputs(config: DiTConfig) -> tuple[Array, Array, Conditions]:
    # Two latent frames: with one the audio projection would not meet its convolution.
    latents = jnp.zeros((1, 2, config.patch_size, config.patch_size, config.in_channels))
    return latents, jnp.zeros(1), Conditions(jnp.zeros((1, 1, config.text_embed_dim)))


def _part(path: tuple[str, ...]) -> str:
    """The part a parameter belongs to; layers with a number of their own are one (`conv_0` ... -> `conv`)."""
    depth = 1
    while "/".join(path[:depth]) in _OPENED:
        depth += 1
    return re.sub(r"_\d+$", "", "/".join(path[:depth]))
