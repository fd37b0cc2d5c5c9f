"""SyncSynth's two towers, and how well two sequences of embeddings agree over time.

Nothing is padded in time: a clip of F frames has F - 4 embeddings, each of five frames, and a shift compares only
frames that both sides have. A score therefore does not depend on where a clip begins or ends.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from mtv_jax.models.syncsynth.config import KERNEL, SyncSynthConfig
from mtv_jax.typing import Array, Float


class SyncTowers(nn.Module):
    """Embeds pictures of a mouth and levels of a sound, one embedding for each frame that has enough context."""

    config: SyncSynthConfig
    dtype: Any = jnp.float32

    def setup(self):
        """Layers."""
        cfg = self.config

        def dense(features: int) -> nn.Dense:
            return nn.Dense(features, dtype=self.dtype)

        def over_time() -> nn.Conv:
            return nn.Conv(cfg.hidden, (KERNEL,), padding="VALID", dtype=self.dtype)

        self.convs = [nn.Conv(width, (3, 3), (2, 2), dtype=self.dtype) for width in cfg.widths]
        self.picture, self.sound = dense(cfg.hidden), dense(cfg.hidden)
        self.picture_time, self.sound_time = over_time(), over_time()
        self.picture_out, self.sound_out = dense(cfg.embedding), dense(cfg.embedding)

    def __call__(
        self, pictures: Float[Array, "b F h w"], levels: Float[Array, "b F L m"]
    ) -> tuple[Float[Array, "b T d"], Float[Array, "b T d"]]:
        """Embeddings of both."""
        return self.watch(pictures), self.hear(levels)

    def watch(self, pictures: Float[Array, "b F h w"]) -> Float[Array, "b T d"]:
        """Embeddings of pictures of any brightness and contrast; T = F - CONTEXT."""
        mean = pictures.mean((1, 2, 3), keepdims=True)
        scale = jnp.maximum(pictures.std((1, 2, 3), keepdims=True), 1.0)
        x = ((pictures - mean) / scale)[..., None]
        for conv in self.convs:
            x = nn.gelu(conv(x))
        x = nn.gelu(self.picture(x.reshape(*x.shape[:2], -1)))
        return self.picture_out(nn.gelu(self.picture_time(x)))

    def hear(self, levels: Float[Array, "b F L m"]) -> Float[Array, "b T d"]:
        """Embeddings of log-mel levels (`sound_levels`); T = F - CONTEXT."""
        x = nn.gelu(self.sound(levels.reshape(*levels.shape[:2], -1)))
        return self.sound_out(nn.gelu(self.sound_time(x)))


def agreement(
    seen: Float[Array, "*#b T d"], heard: Float[Array, "*#b T d"], shift: int = 0
) -> Float[Array, "..."]:
    """Normalised correlation over time, in -1..1, of seen[t] with heard[t - shift], where both exist.

    `shift` is the lag of the pictures in frames. The mean over time of each side is subtracted, so
    that only what changes counts, not who speaks or what they look like. A side that does not change scores 0.
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
