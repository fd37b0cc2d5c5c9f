"""The mesh that a program is compiled for: its platform, its axes, and sharding constraints on activations.

It is the ambient mesh (`jax.set_mesh`); without one, programs are for one device of the default backend.
"""

import math
from typing import Any

import jax
from jax.sharding import PartitionSpec

from mtv_jax.typing import BATCH_AXES, Array, Float


def platform() -> str:
    """The platform that is compiled for, `cpu`, `gpu` or `tpu`, which need not be this machine's."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    name = device.platform if device is not None and device.platform else jax.default_backend()
    return "gpu" if name in ("cuda", "rocm") else name


def on_mesh() -> bool:
    """Whether there is a mesh of more than one device."""
    mesh = jax.sharding.get_abstract_mesh()
    return not mesh.empty and mesh.size > 1


def axis_size(name: str) -> int:
    """Number of devices along an axis of the mesh, 1 without a mesh."""
    return dict(jax.sharding.get_abstract_mesh().shape).get(name, 1)


def constrain_batch(x: Float[Array, "b *rest"], *rest: str | None) -> Float[Array, "b *rest"]:
    """Constrains the sharding of activations: the batch over data and fsdp, other axes by `rest`, default unsharded.

    Without a constraint the compiler may follow the weights' sharding and split the width of small arrays.
    """
    # On a mesh that also splits weights by tensor, XLA's partitioner (jax 0.10 and 0.12) computed a wrong
    # cross-attention after such a constraint, so there the weights determine the sharding (tests/multidevice).
    if not on_mesh() or axis_size("tensor") > 1:
        return x
    spec = PartitionSpec(batch_axes(x.shape[0]), *rest)
    return jax.lax.with_sharding_constraint(x, spec)


def constrain_tokens(x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
    """`constrain_batch` for hidden states, whose tokens are split over context if they divide evenly."""
    size = axis_size("context")
    return constrain_batch(x, "context" if size > 1 and x.shape[1] % size == 0 else None)


def batch_axes(batch: int) -> tuple[str, ...] | None:
    """The axes over which a batch of this size is split: data and fsdp, or the subset that divides it."""
    for axes in (BATCH_AXES, BATCH_AXES[:1], BATCH_AXES[1:]):
        size = math.prod(axis_size(axis) for axis in axes)
        if size > 1 and batch % size == 0:
            return axes
    return None


def per_device(function: Any, in_specs: Any, out_specs: Any) -> Any:
    """Maps `function` over devices, each on its own shard of the arrays."""
    return jax.shard_map(function, in_specs=in_specs, out_specs=out_specs, check_vma=False)
