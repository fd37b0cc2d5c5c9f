"""Checks, before a training allocates anything, that the memory that its step needs is free on the devices.

State and batch are exact, from their shapes on the mesh; gradients and activations are estimated from the traced step
(`mtv_jax.planning.estimates`). Tracing is skipped where an upper bound from sizes alone is far below the free memory.
"""

import math
from collections.abc import Callable
from typing import Any

import jax

from mtv_jax.data.shards import ShardSet
from mtv_jax.models.denoisers import backbone_config
from mtv_jax.models.registry import spec_of
from mtv_jax.planning import estimates
from mtv_jax.planning.memory import AMPLE, Need, refuse, tokens_of
from mtv_jax.planning.room import device_room
from mtv_jax.planning.sizes import LatentSize
from mtv_jax.sharding.distributed import from_first
from mtv_jax.sharding.mesh import AnyMesh
from mtv_jax.training import steps
from mtv_jax.training.configs import TrainConfig
from mtv_jax.training.optim import is_trainable
from mtv_jax.training.state import TrainState
from mtv_jax.training.tasks import Task


def training_check(
    config: TrainConfig, task: Task, dtype: Any, bound: int, *, force: bool
) -> Callable[[TrainState, dict[str, jax.ShapeDtypeStruct], AnyMesh], None]:
    """The callback that the loop calls with the shapes of state and batch, placed on the mesh, before allocating them
    (`mtv_jax.training.loop.Job.check`).

    `bound` is an upper bound on the activations of a row. The first process decides for all.
    """

    def check(state: TrainState, batch: dict[str, jax.ShapeDtypeStruct], mesh: AnyMesh) -> None:
        def decide() -> str:
            room = device_room(devices=jax.local_device_count())
            if force or room is None:
                return ""
            rows = estimates.rows_of(batch) / config.accumulate
            if (3 * estimates.placed_bytes(state) + rows * bound) * AMPLE > room.free:
                refuse(training_need(config, task, state, batch, mesh, dtype), room)
            return ""

        from_first("memory", decide)

    return check


def training_need(
    config: TrainConfig,
    task: Task,
    state: TrainState,
    batch: dict[str, jax.ShapeDtypeStruct],
    mesh: AnyMesh,
    dtype: Any,
) -> Need:
    """Memory of a train step on each device: state and batch (exact), and an estimate of the rest."""
    kinds = {
        "parameters": (state.params, state.frozen),
        "optimiser state": state.opt_state,
        "average": state.ema,
        "batch": batch,
    }
    device = {kind: estimates.placed_bytes(tree) for kind, tree in kinds.items()}
    device["gradients and activations (estimated)"] = estimates.train_step(
        steps.make_step(task, config.optimizer, 2, 0),
        is_trainable(config.optimizer),
        state,
        batch,
        mesh,
        accumulate=config.accumulate,
        dtype=dtype,
    )
    advice = (
        f"lower --config.data.batch_size (it is {config.data.batch_size}), raise --config.accumulate",
        "spread the weights over more devices (--config.mesh.fsdp)",
    )
    if config.model.dtype == "float32":
        advice += ("compute in --config.model.dtype=bfloat16",)
    return Need("a train step", device, advice=advice)


def row_bound(model: Any, shards: ShardSet) -> int:
    """An upper bound on the activation bytes of a clip of `shards` in a train step without rematerialisation."""
    if spec_of(model).task == "vae":
        return 400 * math.prod(shards.shapes["video"][:3]) * max(model.config.block_out_channels)
    backbone = backbone_config(model)
    tokens = tokens_of(backbone, LatentSize(*shards.shapes["latents_mean"][:3]))
    layer = 80 * tokens * backbone.width + 8 * backbone.num_attention_heads * tokens * min(tokens, 2048)
    copies = 2 if spec_of(model).task == "cim" else 1  # of the sound, one of which is augmented
    return copies * 4 * layer * (backbone.num_layers + 2)
