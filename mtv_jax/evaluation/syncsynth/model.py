"""SyncSynth's two small towers, and how alike what they say is over time.

Nothing is padded in time: a clip of F frames has F - 4 embeddings, each of five frames, and a shift compares only
frames that both sides have. So no score depends on where a clip begins or ends.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from mtv_jax.evaluation.syncsynth.features import LEVELS
from mtv_jax.evaluation.syncsynth.renderer import SIDE
from mtv_jax.typing import Array, Float

_KERNEL = 5  # frames that an embedding sees
CONTEXT = _KERNEL - 1
"""Frames that have no embedding of their own."""


@dataclasses.dataclass(frozen=True)
class SyncSynthConfig:
    """Sizes.

    Attributes:
      widths: channels of the picture's convolutions, each of stride 2.
      hidden: width of both towers.
      embedding: dimensions that are compared.
    """

    widths: tuple[int, ...] = (16, 32, 32)
    hidden: int = 64
    embedding: int = 32


class SyncTowers(nn.Module):
    """Pictures and sound, each to an embedding a frame."""

    config: SyncSynthConfig

    def setup(self):
        """Layers."""
        cfg = self.config
        self.convs = [nn.Conv(width, (3, 3), (2, 2)) for width in cfg.widths]
        self.picture, self.sound = nn.Dense(cfg.hidden), nn.Dense(cfg.hidden)
        self.picture_time, self.sound_time = (
            nn.Conv(cfg.hidden, (_KERNEL,), padding="VALID") for _ in range(2)
        )
        self.picture_out, self.sound_out = nn.Dense(cfg.embedding), nn.Dense(cfg.embedding)

    def __call__(
        self, pictures: Float[Array, "b F h w"], levels: Float[Array, "b F L m"]
    ) -> tuple[Float[Array, "b T d"], Float[Array, "b T d"]]:
        """Embeddings of both."""
        return self.watch(pictures), self.hear(levels)

    def watch(self, pictures: Float[Array, "b F h w"]) -> Float[Array, "b T d"]:
        """Of pictures, any brightness and contrast; T = F - CONTEXT."""
        mean = pictures.mean((1, 2, 3), keepdims=True)
        scale = jnp.maximum(pictures.std((1, 2, 3), keepdims=True), 1.0)
        x = ((pictures - mean) / scale)[..., None]
        for conv in self.convs:
            x = nn.gelu(conv(x))
        x = nn.gelu(self.picture(x.reshape(*x.shape[:2], -1)))
        return self.picture_out(nn.gelu(self.picture_time(x)))

    def hear(self, levels: Float[Array, "b F L m"]) -> Float[Array, "b T d"]:
        """Of log-mel levels (`features.sound_levels`)."""
        x = nn.gelu(self.sound(levels.reshape(*levels.shape[:2], -1)))
        return self.sound_out(nn.gelu(self.sound_time(x)))


def parameter_shapes(config: SyncSynthConfig) -> Any:
    """The parameters' shapes and types, as a tree; no array is made."""
    pictures, levels = jnp.zeros((1, 1 + CONTEXT, SIDE, SIDE)), jnp.zeros((1, 1 + CONTEXT, *LEVELS))
    return jax.eval_shape(SyncTowers(config).init, jax.random.key(0), pictures, levels)


def agreement(
    seen: Float[Array, "*#b T d"], heard: Float[Array, "*#b T d"], shift: int = 0
) -> Float[Array, "..."]:
    """Normalised correlation over time in -1..1 of seen[t] with heard[t - shift], where both are there.

    The shift is the frames by which the pictures are late. Each side's mean over time is taken out, so that who
    speaks or what they look like cannot matter, only what changes; a side that does not change scores 0.
    """
    length = seen.shape[-2] - abs(shift)
    a, b = (
        lax.slice_in_dim(x, start, start + length, axis=x.ndim - 2)
        for x, start in ((seen, max(shift, 0)), (heard, max(-shift, 0)))
    )
    a, b = (x - x.mean(-2, keepdims=True) for x in (a, b))
    product, left, right = ((x * y).sum((-2, -1)) for x, y in ((a, b), (a, a), (b, b)))
    scale = left * right
    still = jnp.minimum(left, right) < 1e-6 * length
    return jnp.where(still, 0.0, product / jnp.sqrt(jnp.where(still, 1.0, scale)))
