"""The one attention function of all networks, with its backends."""

from typing import Literal

import jax
import jax.numpy as jnp

from mtv_jax.typing import Array, Float

Backend = Literal["auto", "xla", "chunked"]

_QUERY_CHUNK = 1024
"""Queries a chunk: the logits of a chunk stay near a megabyte a head at a few thousand keys."""


def attention(
    q: Float[Array, "b n h d"],
    k: Float[Array, "b m h d"],
    v: Float[Array, "b m h d"],
    *,
    mask: Array | None = None,
    bias: Array | None = None,
    scale: float | None = None,
    backend: Backend = "auto",
) -> Float[Array, "b n h d"]:
    """Softmax attention. Logits and softmax are float32 whatever the inputs are.

    `mask` (bool, true = attend) and `bias` (added to the scaled logits) broadcast to `b h n m`;
    `scale` defaults to 1/sqrt(d). Backends: `xla` keeps all logits, `chunked` those of one block of
    queries at a time (memory linear in length, recomputed in the backward pass); `auto` is chunked
    from twice `_QUERY_CHUNK` queries on.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if backend == "auto":
        backend = "chunked" if q.shape[1] > 2 * _QUERY_CHUNK else "xla"
    if backend == "xla":
        return _plain(q, k, v, mask, bias, scale)
    if backend == "chunked":
        return _chunked(q, k, v, mask, bias, scale)
    raise ValueError(f"attention backend {backend!r}: use auto, xla or chunked")


def split_heads(x: Float[Array, "b n w"], heads: int) -> Float[Array, "b n h d"]:
    """Cuts the width into heads."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)


def merge_heads(x: Float[Array, "b n h d"]) -> Float[Array, "b n w"]:
    """The inverse of `split_heads`."""
    return x.reshape(*x.shape[:-2], -1)


def _plain(q, k, v, mask, bias, scale):
    logits = jnp.einsum("bnhd,bmhd->bhnm", q, k, preferred_element_type=jnp.float32) * scale
    if bias is not None:
        logits = logits + bias.astype(jnp.float32)
    if mask is not None:
        logits = jnp.where(mask, logits, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(v.dtype)
    return jnp.einsum("bhnm,bmhd->bnhd", weights, v)


def _chunked(q, k, v, mask, bias, scale):
    b, n, h, d = q.shape
    chunks = -(-n // _QUERY_CHUNK)
    padded = chunks * _QUERY_CHUNK

    def split_queries(x, axis):
        """Cuts a query axis into chunks and moves them in front; broadcast axes stay whole."""
        widths = [(0, 0)] * x.ndim
        widths[axis] = (0, padded - n)
        x = jnp.pad(x, widths)
        x = x.reshape(*x.shape[:axis], chunks, _QUERY_CHUNK, *x.shape[axis + 1 :])
        return jnp.moveaxis(x, axis, 0)

    def rows(x):
        if x is None or x.shape[-2] == 1:
            return jnp.broadcast_to(x, (chunks, *x.shape)) if x is not None else None
        return split_queries(x, x.ndim - 2)

    @jax.checkpoint
    def one(args):
        chunk, chunk_mask, chunk_bias = args
        return _plain(chunk, k, v, chunk_mask, chunk_bias, scale)

    out = jax.lax.map(one, (split_queries(q, 1), rows(mask), rows(bias)))
    return jnp.moveaxis(out, 0, 1).reshape(b, padded, h, d)[:, :n]
