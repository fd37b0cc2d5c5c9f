"""I3D on RGB ("Quo vadis, action recognition?", Carreira and Zisserman 2017), for inference.

The layers are those of deepmind/kinetics-i3d: convolutions and pooling are padded as TensorFlow's "SAME", and batch
normalisation, with fixed statistics, has no gain.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.models.i3d.config import I3DConfig
from mtv_jax.ops.norms import FixedBatchNorm
from mtv_jax.ops.precision import convolution
from mtv_jax.typing import Array, Float

SIZE = 224
"""Height and width of the frames, pixels."""
LEAST_FRAMES = 9
"""Fewer leave too little of time for the last pooling."""
_EPSILON = 1e-3

Three = tuple[int, int, int]


class Unit(nn.Module):
    """A convolution with its normalisation and ReLU."""

    width: int
    size: int = 1
    stride: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b u v x d"]:
        """The features."""
        conv = nn.Conv(
            self.width,
            (self.size,) * 3,
            (self.stride,) * 3,
            padding="SAME",
            use_bias=False,
            dtype=self.dtype,
            conv_general_dilated=convolution,
            name="conv",
        )
        return nn.relu(FixedBatchNorm(_EPSILON, use_scale=False, name="norm")(conv(x)))


class Mixed(nn.Module):
    """A block of four branches, whose features are concatenated."""

    widths: tuple[int, ...]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h w d"]:
        """The features."""
        first, two, two_out, three, three_out, pooled = self.widths

        def unit(width: int, size: int, name: str) -> Unit:
            return Unit(width, size, dtype=self.dtype, name=name)

        branches = (
            unit(first, 1, "branch_0")(x),
            unit(two_out, 3, "branch_1b")(unit(two, 1, "branch_1a")(x)),
            unit(three_out, 3, "branch_2b")(unit(three, 1, "branch_2a")(x)),
            unit(pooled, 1, "branch_3")(_max(x, (3, 3, 3), (1, 1, 1))),
        )
        return jnp.concatenate(branches, axis=-1)


class I3D(nn.Module):
    """Scores actions."""

    config: I3DConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, frames: Float[Array, "b t h w c"]) -> Float[Array, "b k"]:
        """The logits of each class, averaged over time. Frames are in -1..1, `SIZE` x `SIZE`, at least nine."""
        config, dtype = self.config, self.dtype
        x = Unit(config.stem[0], 7, 2, dtype, name="conv_1a")(frames)
        x = _max(x, (1, 3, 3), (1, 2, 2))
        x = Unit(config.stem[1], 1, 1, dtype, name="conv_2b")(x)
        x = Unit(config.stem[2], 3, 1, dtype, name="conv_2c")(x)
        x = _max(x, (1, 3, 3), (1, 2, 2))
        x = self._mixed(x, "3b", "3c")
        x = _max(x, (3, 3, 3), (2, 2, 2))
        x = self._mixed(x, "4b", "4c", "4d", "4e", "4f")
        x = _max(x, (2, 2, 2), (2, 2, 2))
        x = self._mixed(x, "5b", "5c")
        x = nn.avg_pool(x, (2, 7, 7), (1, 1, 1), padding="VALID")
        logits = nn.Conv(
            config.num_classes, (1, 1, 1), dtype=dtype, conv_general_dilated=convolution, name="logits"
        )(x)
        return logits.mean((1, 2, 3))

    def _mixed(self, x: Array, *names: str) -> Array:
        for name in names:
            x = Mixed(self.config.mixed(name), self.dtype, name=f"mixed_{name}")(x)
        return x


def _max(x: Array, window: Three, strides: Three) -> Array:
    return nn.max_pool(x, window, strides, padding="SAME")
