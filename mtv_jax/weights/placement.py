"""Places parameters on devices directly from their checkpoint, with at most one tensor on the host."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mtv_jax.sharding.rules import partition_spec
from mtv_jax.weights.rules import Leaf

_SMALL = 64 * 1024**2
"""Layers are stacked on the host up to this many bytes: compiling for each shape would cost more."""


def place(path: str, leaf: Leaf, *, dtype: Any = jnp.float32, mesh: Mesh | None = None) -> jax.Array:
    """A parameter in `dtype` on its devices: on `mesh` by the rules of `mtv_jax.sharding`, or on the default one.

    The host holds one layer of a stack at a time.
    """
    dtype = np.dtype(dtype)
    spec = None if mesh is None else partition_spec(path, leaf.shape, mesh)
    sharding = None if mesh is None or spec is None else NamedSharding(mesh, spec)
    if not leaf.stacked or math.prod(leaf.shape) * dtype.itemsize <= _SMALL:
        return _put(np.asarray(leaf), dtype, sharding)
    of_layer = None if mesh is None or spec is None else NamedSharding(mesh, PartitionSpec(*spec[1:]))
    buffer = jnp.zeros(leaf.shape, dtype, device=sharding)
    for i in range(len(leaf)):
        buffer = _set_layer(buffer, _put(leaf[i], dtype, of_layer), i)
        # Blocks, since the host would otherwise read ahead of the device and hold many layers.
        buffer.block_until_ready()
    return buffer


def _put(array: np.ndarray, dtype: np.dtype, sharding: NamedSharding | None) -> jax.Array:
    """Places each device's shard; on a mesh over several hosts, this host places the shards of its devices."""
    if sharding is None:
        return jax.device_put(np.asarray(array, dtype, order="C"))

    def part(index: Any) -> np.ndarray:
        return np.asarray(array[index], dtype, order="C")

    return jax.make_array_from_callback(array.shape, sharding, part)


@partial(jax.jit, donate_argnums=0)
def _set_layer(buffer: jax.Array, layer: jax.Array, index: int | jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_index_in_dim(buffer, layer, index, 0)
