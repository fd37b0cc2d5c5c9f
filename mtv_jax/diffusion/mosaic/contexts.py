"""What the cross-attention of a UNet attends to: the text, and the tokens of the sources in its place."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.mosaic.mosaic import Mosaic
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Bool, Float


@dataclass(frozen=True)
class Contexts:
    """The keys and values of all cross-attentions of one call of a network. A pytree; `text_length` is static.

    Attributes:
      tokens: Float[b f m d], what to project to keys and values. With `mosaic` these are the l text tokens followed by
        the q tokens of each of the n sources, m = l + n q, and `mosaic_attention` chooses among them: there is one
        projection, whatever the number of sources. Without it, they are the context itself.
      mosaic: the boxes; None: every pixel attends to all of the tokens.
      locating: Bool[b], whether a row is in Object Locating.
      text_length: l.
    """

    tokens: Any
    mosaic: Mosaic | None = None
    locating: Any = None
    text_length: int = 0


functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("tokens", "mosaic", "locating"),
    meta_fields=("text_length",),
)(Contexts)


def contexts(conditions: Conditions, timesteps: Float[Array, "b"]) -> Contexts | None:
    """What a call of a network attends to, at every grid size; None without tracks: the text alone.

    With `boxes` it is a mosaic, for `mosaic_attention`. Without, all tracks, in the order of their sorted names, take
    the place of the text's first tokens everywhere. Guidance of that needs boxes all the same (with strength 0 and
    `locate_until` 0 they do nothing): without them a dropped track is zeros, and not the text.

    Raises UserError unless the tracks are those of the boxes, of as many frames, all of one length and of the text's
    width, and fit into the text's length beside a start token.
    """
    mosaic, text = conditions.boxes, conditions.text
    if not conditions.tracks:
        return None
    names = tuple(sorted(conditions.tracks)) if mosaic is None else mosaic.names
    sources = stack_sources(conditions.tracks, names, text)
    b, n, f, q, d = sources.shape
    if mosaic is None:
        return Contexts(compose(text, sources, jnp.ones((b, n), bool)))
    if (frames := mosaic.boxes.shape[2]) != f:
        raise UserError(f"boxes of {frames} frames: the sources' tokens are those of {f}")
    base = jnp.broadcast_to(text[:, None], (b, f, *text.shape[1:]))
    pool = jnp.moveaxis(sources, 1, 2).reshape(b, f, n * q, d)
    locating = (timesteps >= mosaic.locate_until) & mosaic.active.any(-1)
    return Contexts(jnp.concatenate([base, pool], 2), mosaic, locating, text.shape[1])


def stack_sources(
    tracks: Mapping[str, Array], names: tuple[str, ...], text: Float[Array, "b l d"]
) -> Float[Array, "b n f q d"]:
    """The tokens of the sources, in the order of `names` and in the text's dtype. Raises UserError as `contexts`."""
    if set(names) != set(tracks):
        raise UserError(
            f"boxes of {', '.join(names)}: the tracks are {', '.join(tracks)}; each track needs a box"
        )
    tokens, width = tracks[names[0]].shape[2], text.shape[2]
    for name in names:
        if tracks[name].shape[2:] != (tokens, width):
            found = " x ".join(map(str, tracks[name].shape[2:]))
            raise UserError(f"source {name} of {found}: must be {tokens} tokens of {width}, the text's width")
    check_slots(len(names), tokens, text.shape[1])
    return jnp.stack([tracks[name].astype(text.dtype) for name in names], 1)


def check_slots(sources: int, tokens: int, length: int) -> None:
    """Raises UserError unless the tokens of all sources and a start token go into a context of `length` tokens."""
    if 1 + sources * tokens > length:
        most = (length - 1) // tokens
        raise UserError(
            f"{sources} sources of {tokens} tokens: do not go into a context of {length} tokens, which has room for "
            f"{most}; leave out sources, or use fewer tokens each"
        )


def compose(
    text: Float[Array, "b l d"],
    sources: Float[Array, "b n f q d"],
    active: Bool[Array, "b n"],
    *,
    first_slot: int = 0,
) -> Float[Array, "b f l d"]:
    """The text with the tokens of the active sources, one after another, in place of its own from `first_slot` on."""
    b, n, f, q, d = sources.shape
    order = jnp.argsort(~active, axis=1, stable=True)
    moved = jnp.take_along_axis(sources, order[:, :, None, None, None], axis=1)
    tokens = jnp.moveaxis(moved, 1, 2).reshape(b, f, n * q, d)
    base = jnp.broadcast_to(text[:, None], (b, f, *text.shape[1:])).astype(tokens.dtype)
    slots = slice(first_slot, first_slot + n * q)
    taken = jnp.arange(n * q) < q * active.sum(1)[:, None]
    return base.at[:, :, slots].set(jnp.where(taken[:, None, :, None], tokens, base[:, :, slots]))
