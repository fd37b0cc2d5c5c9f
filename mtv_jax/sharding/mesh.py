"""The device mesh: its axes, its sizes from a config, and the sharding of batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from mtv_jax.io.errors import UserError
from mtv_jax.typing import BATCH_AXES

AXES = ("data", "fsdp", "tensor", "context")

AnyMesh = Mesh | AbstractMesh
"""A mesh, or an abstract one with sizes only, for devices that are not present."""


@dataclass(frozen=True)
class MeshConfig:
    """Number of devices along each axis; one of them may be -1 for all remaining devices.

    Batches are split over data and fsdp, weights over fsdp and tensor, tokens over context.
    """

    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    context: int = 1


def make_mesh(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of all `devices` (default: all of JAX's) with the axes `AXES`, all `Auto`.

    Raises UserError if the product of the sizes is not the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    sizes = _resolve(config, len(devices))
    # An axis may be a part of a torus dimension: 256 chips are a 16 x 16 torus, and 8 x 16 x 2 is a mesh of them.
    placed = mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
    return Mesh(placed, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def abstract_mesh(config: MeshConfig, count: int) -> AbstractMesh:
    """`make_mesh` for `count` devices that are not present: sizes and names only. Raises the same errors."""
    return AbstractMesh(_resolve(config, count), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _resolve(config: MeshConfig, count: int) -> tuple[int, ...]:
    sizes = [getattr(config, field.name) for field in fields(config)]
    shown = ", ".join(f"{name} {size}" for name, size in zip(AXES, sizes, strict=True))
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise UserError(f"mesh of {shown}: sizes must be positive, and only one may be -1 (the rest)")
    known = math.prod(size for size in sizes if size != -1)
    if -1 not in sizes and known != count:
        raise UserError(f"mesh of {shown}: needs {known} device(s), there are {count}; set one size to -1")
    if count % known:
        raise UserError(f"mesh of {shown}: {known} does not divide the {count} device(s) there are")
    return tuple(count // known if size == -1 else size for size in sizes)


def batch_sharding(mesh: AnyMesh) -> NamedSharding:
    """The sharding of batches: the first axis of each array is split over data and fsdp."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def replicated(mesh: AnyMesh) -> NamedSharding:
    """The sharding of arrays that are equal on every device."""
    return NamedSharding(mesh, PartitionSpec())


def check_batch_size(mesh: AnyMesh, batch_size: int, accumulate: int = 1) -> None:
    """Raises UserError, naming the nearest valid sizes, unless a global batch splits evenly over the mesh.

    Each of its `accumulate` parts must do so.
    """
    devices = math.prod(mesh.shape[axis] for axis in BATCH_AXES)
    parts = devices * accumulate
    if batch_size < 1 or batch_size % parts:
        times = "" if accumulate == 1 else f", {accumulate} times ({parts})"
        below = batch_size // parts * parts
        nearest = f"{below} and {below + parts} are the nearest" if below > 0 else f"{parts} is the smallest"
        raise UserError(
            f"batch size {batch_size}: must be a positive multiple of data x fsdp = {devices} on this mesh{times}; "
            f"{nearest}: --config.data.batch_size={below or parts}"
        )


def put_batch(batch: Any, mesh: Mesh) -> Any:
    """Makes global arrays, sharded by `batch_sharding`, from this process's host arrays `[local batch, ...]`."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch)
