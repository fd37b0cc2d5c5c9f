"""The attention function of all networks, with its backends."""

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from mtv_jax.ops.context import attend_on_mesh
from mtv_jax.ops.mesh import axis_size, on_mesh, platform
from mtv_jax.typing import Array, Float

Backend = Literal["auto", "xla", "chunked", "splash", "cudnn"]

_QUERY_CHUNK = 1024
"""Queries per chunk: with a few thousand keys, the logits of a chunk take about a megabyte per head."""
_SPLIT_QUERIES = 1024
"""Number of queries from which on sharded tokens are exchanged for heads; fewer are gathered."""


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
    """Softmax attention. Logits and softmax are computed in float32 for inputs of any dtype.

    `mask` (bool, true = attend) and `bias` (added to the scaled logits) broadcast to `b h n m`;
    `scale` defaults to 1/sqrt(d). Backends: `xla` keeps all logits; `chunked` keeps those of one block of queries at a
    time (memory linear in length, recomputed in the backward pass); `splash` is the kernel for TPUs
    (`mtv_jax.ops.splash`) and `cudnn` the one for GPUs, in half precision; neither supports mask or bias. `auto`
    selects the platform's kernel, or else `chunked`, from twice `_QUERY_CHUNK` queries on, and `xla` below.

    On a mesh (`jax.set_mesh`) whose context axis splits tokens, long sequences use
    `mtv_jax.ops.context.attend_on_mesh`.
    """
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    if backend == "auto":
        backend = _best(q, mask is None and bias is None)
    if backend not in get_args(Backend):
        raise ValueError(f"attention backend {backend!r}: use one of {', '.join(get_args(Backend))}")
    if mask is None and bias is None:
        local = partial(_unmasked, scale=factor, backend=backend)
        # A kernel runs on one device's shard, so sharded tokens must be exchanged.
        if backend == "splash" or (axis_size("context") > 1 and q.shape[1] >= _SPLIT_QUERIES):
            return attend_on_mesh(local, q, k, v) if on_mesh() else local(q, k, v, k.shape[1])
        return local(q, k, v, k.shape[1])
    if backend in ("splash", "cudnn"):
        raise ValueError(f"attention backend {backend!r}: supports neither mask nor bias")
    return (_chunked if backend == "chunked" else _plain)(q, k, v, mask, bias, factor)


def _best(q: Array, unmasked: bool) -> Backend:
    """Selects the backend for this platform and length."""
    if q.shape[1] <= 2 * _QUERY_CHUNK:
        return "xla"
    if unmasked and platform() == "tpu":
        return "splash"
    if unmasked and platform() == "gpu" and q.dtype in (jnp.bfloat16, jnp.float16):
        return "cudnn"
    return "chunked"


def _unmasked(q: Array, k: Array, v: Array, keys: int, *, scale: float, backend: Backend) -> Array:
    """Attention on one device over the first `keys` keys."""
    if backend == "splash":
        from mtv_jax.ops.splash import splash_attention  # importing Pallas takes a third of a second

        return splash_attention(q, k, v, scale=scale, keys=keys, interpret=platform() == "cpu")
    k, v = k[:, :keys], v[:, :keys]
    if backend == "cudnn":
        return jax.nn.dot_product_attention(q, k, v, scale=scale, implementation="cudnn")
    return (_chunked if backend == "chunked" else _plain)(q, k, v, None, None, scale)


def split_heads(x: Float[Array, "b n w"], heads: int) -> Float[Array, "b n h d"]:
    """Splits the width into heads."""
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
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
    total = weights.sum(-1, keepdims=True)  # divided by after the product, which is the smaller array
    out = jnp.einsum("bhnm,bmhd->bhnd", weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
    return jnp.swapaxes(out / total, 1, 2).astype(v.dtype)


def _chunked(q, k, v, mask, bias, scale):
    b, n, h, d = q.shape
    chunks = -(-n // _QUERY_CHUNK)
    size = -(-n // chunks)  # even chunks need the least padding
    padded = chunks * size

    def split_queries(x, axis):
        """Splits the query axis into chunks on a new leading axis; broadcast axes are not split."""
        widths = [(0, 0)] * x.ndim
        widths[axis] = (0, padded - n)
        x = jnp.pad(x, widths)
        x = x.reshape(*x.shape[:axis], chunks, size, *x.shape[axis + 1 :])
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
