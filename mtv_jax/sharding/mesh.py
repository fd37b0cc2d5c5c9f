"""The device mesh: its axes, its sizes from a config, and how a batch lies on it."""

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


@dataclass(frozen=True)
class MeshConfig:
    """Number of devices along each axis; one of them may be -1: all that is left.

    Batches are split over data and fsdp, weights over fsdp and tensor, tokens over context.
    """

    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    context: int = 1


def make_mesh(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of all `devices` (default: every device there is) with the axes `AXES`, all `Auto`.

    Raises UserError if the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    sizes = _resolve(config, len(devices))
    # An axis may be part of a dimension of the torus: 256 chips are 16 x 16, and 8 x 16 x 2 is a mesh of them.
    placed = mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
    return Mesh(placed, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _resolve(config: MeshConfig, count: int) -> tuple[int, ...]:
    sizes = [getattr(config, field.name) for field in fields(config)]
    told = ", ".join(f"{name} {size}" for name, size in zip(AXES, sizes, strict=True))
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise UserError(f"mesh of {told}: sizes must be positive, and only one may be -1 (the rest)")
    known = math.prod(size for size in sizes if size != -1)
    if -1 not in sizes and known != count:
        raise UserError(f"mesh of {told}: needs {known} device(s), there are {count}; set one size to -1")
    if count % known:
        raise UserError(f"mesh of {told}: {known} does not divide the {count} device(s) there are")
    return tuple(count // known if size == -1 else size for size in sizes)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The first axis of every array of a batch is split over data and fsdp."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def check_batch_size(mesh: Mesh | AbstractMesh, batch_size: int, accumulate: int = 1) -> None:
    """Raises UserError unless each of `accumulate` parts of a global batch splits evenly over the mesh."""
    parts = math.prod(mesh.shape[axis] for axis in BATCH_AXES)
    if batch_size < 1 or batch_size % (parts * accumulate):
        told = "" if accumulate == 1 else f", {accumulate} times ({parts * accumulate})"
        raise UserError(
            f"batch size {batch_size}: must be a positive multiple of data x fsdp = {parts} on this mesh{told}"
        )


def put_batch(batch: Any, mesh: Mesh) -> Any:
    """Host arrays `[local batch, ...]` of this process as global arrays, split as `batch_sharding`."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch)
