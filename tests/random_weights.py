"""Random weights of a network without compiling its initialisers, which takes seconds."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np

from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.typing import Params


def random_weights(model: nn.Module, seed: int = 0) -> Params:
    """Normal numbers, of standard deviation 0.3."""
    rng = np.random.default_rng(seed)

    def draw(leaf: Any) -> np.ndarray:
        return rng.normal(0, 0.3, leaf.shape).astype(np.float32)

    return jax.tree.map(draw, parameter_shapes(model))
