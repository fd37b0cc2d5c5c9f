"""Random weights of a network without compiling its initialisers, which takes seconds."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.typing import Params


def random_weights(model: nn.Module, seed: int = 0) -> Params:
    """Normal numbers, of standard deviation 0.3."""
    rng = np.random.default_rng(seed)

    def draw(leaf: Any) -> np.ndarray:
        return rng.normal(0, 0.3, leaf.shape).astype(np.float32)

    return jax.tree.map(draw, parameter_shapes(model))


def scaled_weights(model: nn.Module, seed: int = 0) -> Params:
    """Weights that keep the size of what goes through: about what a new network has.

    Kernels are normal with the deviation of their fan-in, norms scale by one, and biases are zero. An autoencoder's
    log-variance starts low, so that its samples are close to the mean, and music changes nothing without training.
    """
    rng = np.random.default_rng(seed)

    def draw(path: tuple[Any, ...], leaf: Any) -> jax.Array:
        names = "/".join(key.key for key in path)
        if "music_modulation" in names:
            values = np.zeros(leaf.shape)
        elif leaf.ndim > 1:
            values = rng.normal(0, 1 / math.sqrt(math.prod(leaf.shape[:-1])), leaf.shape)
        elif names.endswith("encoder/conv_out/bias"):
            values = np.repeat([0.0, -6.0], leaf.shape[0] // 2)
        else:
            # `conv_y` gives the factor of a norm, `var` is a variance.
            values = np.full(leaf.shape, float(names.endswith(("scale", "var", "conv_y/bias"))))
        return jnp.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, parameter_shapes(model))
