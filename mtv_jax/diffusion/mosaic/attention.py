"""Cross-attention in which each pixel attends to the sources of its box: Object Locating and Mosaic Denoising.

All sources' tokens are keys of one attention (`Contexts.tokens`), and a mask selects which of them a pixel attends to.
That is the composed context in Object Locating (Eq. 4), and in Mosaic Denoising each source's own context, whose
outputs the masks of the boxes put together (Eq. 10): a pixel's output depends on its own context alone.
"""

import jax
import jax.numpy as jnp

from mtv_jax.diffusion.mosaic.contexts import Contexts
from mtv_jax.diffusion.mosaic.mosaic import Mosaic
from mtv_jax.diffusion.mosaic.regions import outside_all, pulls, sources_in_boxes
from mtv_jax.ops.attention import attention
from mtv_jax.typing import Array, Bool, Float

_MASKED = -1e30


def mosaic_attention(
    q: Float[Array, "bf p h d"],
    k: Float[Array, "bf m h d"],
    v: Float[Array, "bf m h d"],
    contexts: Contexts,
    grid: tuple[int, int],
) -> Float[Array, "bf p h d"]:
    """Attention of the pixels of each frame to `contexts`; between the projections to queries and from the values.

    Whether a row of the batch is in Object Locating is data. The Gaussians' factor is the maximum over all frames,
    heads, pixels and visible tokens of that row, so rows do not depend on each other.

    Args:
      q: queries of frames `[b * f]` (frames of a row are neighbours) and pixels, row by row.
      k, v: keys and values of `contexts.tokens`, its first two axes merged.
      contexts: as `contexts(conditions, timesteps)` gives them, once for a call of the network.
      grid: rows and columns of the pixels, rows * columns = p.
    """
    mosaic = contexts.mosaic
    if mosaic is None:
        return attention(q, k, v)
    locating = contexts.locating[:, None, None, None, None]
    everywhere = mosaic.active[:, :, None, None, None]
    attended = jnp.where(locating, everywhere, sources_in_boxes(mosaic, grid))
    mask = _visible(attended, contexts, mosaic.options.first_slot)

    def denoise() -> Array:
        return attention(q, k, v, mask=mask)

    def locate() -> Array:
        logits = jnp.einsum("bphd,bmhd->bhpm", q, k, preferred_element_type=jnp.float32) * q.shape[-1] ** -0.5
        logits = jnp.where(mask, logits, _MASKED)
        if mosaic.options.gaussian == "pre":
            return attention(q, k, v, mask=mask, bias=_change(logits, mosaic, contexts, grid))
        change = _change(jax.nn.softmax(logits), mosaic, contexts, grid)
        return denoise() + jnp.einsum("bhpm,bmhd->bphd", change, v.astype(jnp.float32)).astype(v.dtype)

    return jax.lax.cond(contexts.locating.any(), locate, denoise)


def _visible(
    attended: Bool[Array, "b n f rows columns"], contexts: Contexts, first_slot: int
) -> Bool[Array, "bf 1 p m"]:
    """Which tokens pixels attend to: those of the sources that they attend to, in place of as many of the text's."""
    sources = _of_tokens(attended, contexts)
    slot = jnp.arange(contexts.text_length) - first_slot
    text = (slot < 0) | (slot >= sources.sum(-1, keepdims=True))
    visible = jnp.concatenate([text, sources], -1)
    return visible.reshape(-1, 1, *visible.shape[2:])


def _of_tokens(of_sources: Array, contexts: Contexts) -> Array:
    """`[b n f rows columns]`, of sources, as `[b f p n*q]`, of their tokens."""
    b, n, f = of_sources.shape[:3]
    tokens = (contexts.tokens.shape[2] - contexts.text_length) // n
    pixels = jnp.moveaxis(of_sources.reshape(b, n, f, -1), 1, -1)
    return jnp.repeat(pixels, tokens, -1)


def _change(
    values: Float[Array, "bf h p m"], mosaic: Mosaic, contexts: Contexts, grid: tuple[int, int]
) -> Float[Array, "bf heads p m"]:
    """What Object Locating adds to logits, or to weights after the softmax; zeros in rows that do not locate."""
    b, f = contexts.tokens.shape[:2]
    values = values.reshape(b, f, *values.shape[1:])
    text = ((0, 0), (0, 0), (0, 0), (0, 0), (contexts.text_length, 0))
    pull = jnp.pad(_of_tokens(pulls(mosaic, grid), contexts)[:, :, None], text)
    weak = jnp.pad(_of_tokens(outside_all(mosaic, grid), contexts)[:, :, None], text)
    if mosaic.options.extra_boxes:
        boxed = _boxed_heads(f, values.shape[2], mosaic.options.extra_boxes)
        weak = jnp.where(boxed, weak, jnp.arange(values.shape[-1]) >= contexts.text_length)
        pull = jnp.where(boxed, pull, 0.0)
    change = mosaic.options.strength * values.max((1, 2, 3, 4), keepdims=True) * pull
    if mosaic.options.weaken != 1:
        change = change + jnp.where(weak, (mosaic.options.weaken - 1) * values, 0.0)
    change = jnp.where(contexts.locating[:, None, None, None, None], change, 0.0)
    return change.reshape(b * f, *change.shape[2:])


def _boxed_heads(frames: int, heads: int, extra: int) -> Bool[Array, "f h 1 1"]:
    """The heads that have Gaussians in the released code, which gives its boxes equally many rows of frames and heads.

    The rows that are left over, the last ones, have none.
    """
    boxes = frames + extra
    boxed = jnp.arange(frames * heads) < frames * heads // boxes * boxes
    return boxed.reshape(frames, heads, 1, 1)
