"""Cross-attention in which each pixel attends to the sources of its box: Object Locating and Mosaic Denoising."""

from mtv_jax.diffusion.mosaic.contexts import Contexts
from mtv_jax.ops.attention import attention
from mtv_jax.typing import Array, Float


def mosaic_attention(
    q: Float[Array, "bf n h d"],
    k: Float[Array, "bf m h d"],
    v: Float[Array, "bf m h d"],
    contexts: Contexts,
    grid: tuple[int, int],
) -> Float[Array, "bf n h d"]:
    """Attention of the pixels of each frame to `contexts`; between the projections to queries and from the values.

    Args:
      q: queries of frames `[b * f]` (frames of a row are neighbours) and pixels, row by row.
      k, v: keys and values of `contexts.tokens`, its first two axes merged.
      contexts: as `contexts(conditions, timesteps)` gives them, once for a call of the network.
      grid: rows and columns of the pixels, rows * columns = n.
    """
    del grid  # until the boxes act
    return attention(q, k, v)
