"""Attention over tokens that are sharded across devices (context parallelism)."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mtv_jax.io.errors import UserError
from mtv_jax.ops.mesh import axis_size, batch_axes, per_device
from mtv_jax.typing import Array, Float

Local = Callable[[Array, Array, Array, int], Array]
"""`(q, k, v, number of valid keys) -> output` on one device: all tokens, some of the heads."""


def attend_on_mesh(
    local: Local,
    q: Float[Array, "b n h d"],
    k: Float[Array, "b m h d"],
    v: Float[Array, "b m h d"],
) -> Float[Array, "b n h d"]:
    """Self- or cross-attention on the ambient mesh, with `local` as the attention of each device.

    The batch is split over data and fsdp, heads over tensor, tokens over context. Devices of the context axis exchange
    tokens for heads (all-to-all, DeepSpeed-Ulysses), so that each attends over all tokens with a part of the heads. The
    result is exact. Raises UserError if the heads cannot be divided evenly.
    """
    context, tensor, heads = axis_size("context"), axis_size("tensor"), q.shape[2]
    if heads % (context * tensor):
        raise UserError(
            f"{heads} attention heads on a mesh of tensor {tensor} x context {context}: "
            f"{context * tensor} must divide the heads"
        )
    n, keys = q.shape[1], k.shape[1]
    spec = PartitionSpec(batch_axes(q.shape[0]), "context", "tensor" if tensor > 1 else None, None)

    def each(q: Array, k: Array, v: Array) -> Array:
        if context == 1:
            return local(q, k, v, keys)
        q, k, v = (jax.lax.all_to_all(x, "context", 2, 1, tiled=True) for x in (q, k, v))
        return jax.lax.all_to_all(local(q, k, v, keys), "context", 1, 2, tiled=True)

    q, k, v = (_pad(x, context) for x in (q, k, v))
    return per_device(each, (spec, spec, spec), spec)(q, k, v)[:, :n]


def _pad(x: Array, parts: int) -> Array:
    missing = math.ceil(x.shape[1] / parts) * parts - x.shape[1]
    return jnp.pad(x, [(0, 0), (0, missing), (0, 0), (0, 0)]) if missing else x
