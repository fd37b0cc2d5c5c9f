"""Parameter shapes and counts without allocating parameters, and small valid inputs of every network."""

import math
import re
from collections import Counter
from functools import lru_cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from mtv_jax.models.denoisers import backbone_config, denoiser_inputs
from mtv_jax.models.registry import spec_of
from mtv_jax.ops.seeds import seed_key
from mtv_jax.typing import Array, Key, Params


def parameter_shapes(model: nn.Module) -> Params:
    """The tree of ShapeDtypeStructs of a network's parameters (`jax.eval_shape`; nothing is allocated)."""
    # A copy: the cached value must not be mutated.
    return jax.tree.map(lambda leaf: leaf, _traced_shapes(model))


@lru_cache(maxsize=64)
def _traced_shapes(model: nn.Module) -> Params:
    return jax.eval_shape(partial(init_params, model), jax.random.key(0))


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Number of parameters of each part of a network, such as `blocks/attn1` (all layers) or `patch_embed`."""
    counts: Counter[str] = Counter()
    groups = spec_of(model).groups
    shapes: dict[Any, Any] = flatten_dict(parameter_shapes(model)["params"])
    for path, leaf in shapes.items():
        counts[_part(path, groups)] += math.prod(leaf.shape)
    return dict(counts)


def random_params(model: nn.Module, seed: int) -> Params:
    """Fresh parameters of a network of the registry."""
    return _init_compiled(model, init_key(seed))


def init_key(seed: int) -> Key[Array, ""]:
    """The key to initialise parameters with.

    Its generator is a single instruction. The default one is inlined for each of a hundred parameters, which takes
    XLA a minute to compile for CPUs; this takes seconds.
    """
    return seed_key(seed, impl="unsafe_rbg")


def init_params(model: nn.Module, key: Key[Array, ""]) -> Params:
    """Fresh parameters, not compiled: see `random_params`."""
    variables = model.init(key, *example_inputs(model), method=spec_of(model).make_parameters)
    return {"params": variables["params"]}


_init_compiled = jax.jit(init_params, static_argnums=0)


def example_inputs(model: Any) -> tuple[Any, ...]:
    """Small inputs, all zeros, that a network accepts."""
    spec = spec_of(model)
    if spec.example_inputs is not None:
        shapes = spec.example_inputs(model.config)
    else:
        patch = backbone_config(model).patch_size
        # Two latent frames: with one, an audio projection would not use its convolution.
        shapes = denoiser_inputs(model, (2, patch, patch), text_length=1)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)


def _part(path: tuple[str, ...], groups: tuple[str, ...]) -> str:
    """The part a parameter belongs to; numbered layers are merged (`conv_0` ... -> `conv`)."""
    depth = 1
    while "/".join(path[:depth]) in groups:
        depth += 1
    return re.sub(r"_\d+$", "", "/".join(path[:depth]))
