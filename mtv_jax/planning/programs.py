"""The programs of a run for devices that are not attached: the train step, a sampling step, the decoder.

They are compiled where a compiler for these devices is installed, and otherwise estimated.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from mtv_jax.io.errors import UserError
from mtv_jax.models.denoisers import denoiser_inputs
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.vae3d import streaming
from mtv_jax.models.vae3d.model import DECODE_CHUNK, chunk_lengths, chunk_starts_alone
from mtv_jax.ops.mesh import batch_axes
from mtv_jax.planning import estimates
from mtv_jax.planning.hlo import Collective, collectives
from mtv_jax.planning.sizes import LatentSize
from mtv_jax.sharding.mesh import AnyMesh, batch_sharding
from mtv_jax.sharding.rules import tree_shardings
from mtv_jax.training import steps
from mtv_jax.training.optim import OptimizerConfig, is_trainable
from mtv_jax.training.state import TrainState
from mtv_jax.training.tasks import Task
from mtv_jax.typing import Params


@dataclass(frozen=True)
class Program:
    """A compiled program, or an estimate of one.

    Attributes:
      memory: bytes on each device, by kind; `temporary` is the compiler's allocation besides inputs and outputs, or an
        estimate of that including outputs.
      collectives: by kind (`mtv_jax.planning.hlo`); None for an estimate.
      seconds: compilation time; None for an estimate.
    """

    memory: dict[str, int]
    collectives: dict[str, Collective] | None = None
    seconds: float | None = None

    @property
    def peak(self) -> int:
        """Bytes on each device, all kinds together."""
        return sum(self.memory.values())

    @property
    def estimated(self) -> bool:
        """Whether temporaries are estimated (`mtv_jax.planning.estimates`); inputs are exact in any case."""
        return self.seconds is None


@dataclass(frozen=True)
class Training:
    """State and global batch of a training on a mesh, as shapes with shardings."""

    task: Task
    optimizer: OptimizerConfig
    state: TrainState
    batch: dict[str, jax.ShapeDtypeStruct]
    mesh: AnyMesh

    @classmethod
    def of(
        cls, task: Task, optimizer: OptimizerConfig, batch: dict[str, jax.ShapeDtypeStruct], mesh: AnyMesh
    ) -> "Training":
        """The initial state of a task, sharded by the rules, and a batch of these shapes, over data and fsdp."""
        init = steps.make_init(task, optimizer, 2, 0, batch)
        shapes = jax.eval_shape(init)
        state = steps.placed(shapes, tree_shardings(shapes, mesh))
        return cls(task, optimizer, state, steps.placed(batch, batch_sharding(mesh)), mesh)

    @property
    def resident(self) -> dict[str, Any]:
        """Bytes on the devices throughout training, by kind."""
        state = self.state
        return {
            "parameters that train": state.params,
            "frozen parameters": state.frozen,
            "optimiser state": state.opt_state,
            "average": state.ema,
            "batch": self.batch,
        }

    @property
    def sampled(self) -> dict[str, Any]:
        """The kind that samples need in addition: the average in the parameters' dtype, if it is stored in another."""
        average = jax.eval_shape(partial(TrainState.all_params, average=True), self.state)
        kept = jax.tree.leaves(self.state.ema)
        if not kept or kept[0].dtype == jax.tree.leaves(average)[0].dtype:
            return {}
        return {"average, for sampling": self.state.params}


def train_step(training: Training, *, accumulate: int, dtype: Any) -> Program:
    """The actual train step; `dtype` is the compute dtype of the model."""
    task, optimizer, state, batch = training.task, training.optimizer, training.state, training.batch
    kinds, mesh = training.resident, training.mesh
    if isinstance(mesh, AbstractMesh):
        step, trains = steps.make_step(task, optimizer, 2, 0), is_trainable(optimizer)
        temporary = estimates.train_step(step, trains, state, batch, mesh, accumulate=accumulate, dtype=dtype)
        return _estimated(kinds, temporary)
    shardings: Any = jax.tree.map(lambda x: x.sharding, state)
    step = steps.jit_step(steps.make_step(task, optimizer, 2, 0, accumulate=accumulate), shardings, mesh)
    with _report_out_of_memory("train step", mesh):
        return _compile(lambda: step.lower(state, batch), mesh, kinds, donated=True)


def parameters(model: nn.Module, mesh: AnyMesh, dtype: Any) -> Params:
    """Shapes of a network's parameters in `dtype`, sharded by the rules."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype), parameter_shapes(model))
    return steps.placed(shapes, tree_shardings(shapes, mesh))


def denoise_step(
    model: Any,
    params: Params,
    size: LatentSize,
    mesh: AnyMesh,
    *,
    branches: int,
    sources: int = 0,
    resident: dict[str, Any] | None = None,
) -> Program:
    """One evaluation of the denoiser for one clip with guidance, which runs `branches` copies.

    `sources`: as of `denoiser_inputs`.

    `resident` is the memory in use on the devices meanwhile, by kind, including `params`; by default only those.
    """
    inputs = denoiser_inputs(model, astuple(size), rows=branches, sources=sources)
    given = jax.tree.map(lambda x: _input(x, mesh), inputs)
    kinds = (resident or {"parameters": params}) | {"inputs": given}
    if isinstance(mesh, AbstractMesh):
        return _estimated(kinds, estimates.denoise_step(model, params, given, mesh))
    run = jax.jit(model.apply)
    with _report_out_of_memory("denoise step", mesh):
        return _compile(lambda: run.lower(params, *given), mesh, kinds)


def decode_chunk(
    vae: Any, size: LatentSize, mesh: AnyMesh, *, dtype: Any, resident: dict[str, Any] | None = None
) -> Program:
    """The decoder on the first latents of a clip, the largest chunk it decodes at once; each device runs all of it.

    `resident` is the memory otherwise in use on the devices meanwhile, by kind.
    """
    params = parameters(vae, mesh, dtype)
    frames = chunk_lengths(size.latent_frames, DECODE_CHUNK)[0]
    shape = (1, frames, size.latent_height, size.latent_width, vae.config.latent_channels)
    latents = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, PartitionSpec()))
    alone = chunk_starts_alone(0, frames, True)
    kinds = (resident or {}) | {"autoencoder": params, "inputs": latents}
    if isinstance(mesh, AbstractMesh):

        def decode(params: Params, latents: Any) -> Any:
            return streaming.decode_chunk(vae, params, latents, None, alone)

        return _estimated(kinds, estimates.decoder(decode, params, latents))
    with _report_out_of_memory("decoder", mesh):
        return _compile(lambda: streaming.decode_chunk.lower(vae, params, latents, None, alone), mesh, kinds)


def _estimated(kinds: dict[str, Any], temporary: int) -> Program:
    memory = {kind: estimates.placed_bytes(tree) for kind, tree in kinds.items() if tree is not None}
    return Program(memory | {"temporary": temporary})


def _compile(lower: Any, mesh: Mesh, kinds: dict[str, Any], *, donated: bool = False) -> Program:
    begun = time.monotonic()
    with jax.set_mesh(mesh):
        compiled = lower().compile()
    seconds = time.monotonic() - begun
    found = compiled.memory_analysis()
    memory = {kind: estimates.placed_bytes(tree) for kind, tree in kinds.items() if tree is not None}
    new = found.output_size_in_bytes - (found.alias_size_in_bytes if donated else 0)
    memory |= {"outputs": max(new, 0), "temporary": found.temp_size_in_bytes}
    memory["program"] = found.generated_code_size_in_bytes
    return Program(memory, collectives(compiled.as_text()), seconds)


def _input(array: jax.ShapeDtypeStruct, mesh: AnyMesh) -> jax.ShapeDtypeStruct:
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        spec = PartitionSpec(batch_axes(array.shape[0]))
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=NamedSharding(mesh, spec))


@contextmanager
def _report_out_of_memory(what: str, mesh: Mesh) -> Iterator[None]:
    """Converts the compiler's out-of-memory error to a one-line UserError."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        sizes = " x ".join(f"{n} {axis}" for axis, n in mesh.shape.items())
        lines = [line.strip() for line in str(error).splitlines() if "hbm" in line.lower()]
        raise UserError(f"{what} on {sizes}: does not fit: {(lines or [str(error)[:200]])[0]}") from error
