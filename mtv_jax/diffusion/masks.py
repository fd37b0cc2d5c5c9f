"""Which latent frames are given as clean keyframes in training."""

import dataclasses

import jax
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Key


@dataclasses.dataclass(frozen=True)
class KeyframeConfig:
    """Probability of each pattern; a sample has none with what is left (MTV reference: .75).

    Attributes:
        image_head: the first frame.
        random: each frame on its own, by a share drawn from .1 to .9.
        image_tail: the last frame.
        image_head_tail: the first and the last.
        interpolate: every second frame, from the first or the second on.
        quarter_random: a run of 1 to f // 4 frames anywhere. (The reference draws the place from the height
            of the picture, so its run mostly misses the clip.)
        quarter_head: such a run at the start.
        quarter_tail: such a run at the end.
        quarter_head_tail: such a run at the start and one of equal length at the end.
    """

    image_head: float = 0.22
    random: float = 0.01
    image_tail: float = 0.005
    image_head_tail: float = 0.005
    interpolate: float = 0.002
    quarter_random: float = 0.002
    quarter_head: float = 0.002
    quarter_tail: float = 0.002
    quarter_head_tail: float = 0.002

    def __post_init__(self):
        values = self.probabilities()
        if min(values) < 0 or sum(values) > 1 + 1e-9:
            raise UserError(f"keyframe probabilities {values}: must be at least 0 and sum to at most 1")

    def probabilities(self) -> tuple[float, ...]:
        """In the order of the fields."""
        return dataclasses.astuple(self)


def draw_clean_mask(
    key: Key[Array, ""], batch: int, frames: int, config: KeyframeConfig | None = None
) -> Array:
    """Bool `[b f]`, true where a latent frame is clean; at least one of each sample is not. Jit-safe."""
    config = config or KeyframeConfig()
    kind_key, draw_key = jax.random.split(key)
    edges = jnp.cumsum(jnp.asarray(config.probabilities()))
    kinds = jnp.searchsorted(edges, jax.random.uniform(kind_key, (batch,)), side="right")
    return jax.vmap(lambda kind, k: _pattern(kind, k, frames))(kinds, jax.random.split(draw_key, batch))


def _pattern(kind: Array, key: Key[Array, ""], frames: int) -> Array:
    """The mask `[f]` of one sample. `kind` counts the fields of `KeyframeConfig`; beyond: no keyframe."""
    share_key, coin_key, parity_key, size_key, place_key = jax.random.split(key, 5)
    index = jnp.arange(frames)
    head, tail = index == 0, index == frames - 1
    size = jax.random.randint(size_key, (), 1, max(frames // 4, 1) + 1)
    place = jax.random.randint(place_key, (), 0, frames - size + 1)
    run_head, run_tail = index < size, index >= frames - size
    coins = jax.random.uniform(coin_key, (frames,))
    patterns = {
        "image_head": head,
        "random": coins < jax.random.uniform(share_key, minval=0.1, maxval=0.9),
        "image_tail": tail,
        "image_head_tail": head | tail,
        "interpolate": index % 2 == jax.random.randint(parity_key, (), 0, 2),
        "quarter_random": (index >= place) & (index < place + size),
        "quarter_head": run_head,
        "quarter_tail": run_tail,
        "quarter_head_tail": run_head | run_tail,
    }
    order = [field.name for field in dataclasses.fields(KeyframeConfig)]
    stacked = jnp.stack([patterns[name] for name in order] + [jnp.zeros_like(head)])
    mask = stacked[jnp.minimum(kind, len(order))]
    # In clips of one or two frames, or by chance, a pattern can cover all: the last then stays noisy.
    return jnp.where(jnp.all(mask), mask & ~tail, mask)
