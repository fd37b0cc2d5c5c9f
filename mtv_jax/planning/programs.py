"""The programs of a run, compiled for devices that are not here: the train step, a sampling step, the decoder."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mtv_jax.io.errors import UserError
from mtv_jax.models.mtv import MTV
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.vae3d import streaming
from mtv_jax.models.vae3d.model import DECODE_CHUNK, chunk_lengths, chunk_starts_alone
from mtv_jax.ops.mesh import batch_axes
from mtv_jax.planning.flops import ClipSize
from mtv_jax.planning.hlo import Collective, collectives
from mtv_jax.sharding.mesh import batch_sharding
from mtv_jax.sharding.rules import tree_shardings
from mtv_jax.training import steps
from mtv_jax.training.optim import OptimizerConfig
from mtv_jax.training.tasks import Task
from mtv_jax.typing import control_tracks


@dataclass(frozen=True)
class Program:
    """A compiled program.

    Attributes:
      memory: bytes on each device, by kind; `temporary` is what the compiler plans beside inputs and outputs.
      collectives: by kind (`mtv_jax.planning.hlo`).
      seconds: that compiling took.
    """

    memory: dict[str, int]
    collectives: dict[str, Collective]
    seconds: float

    @property
    def peak(self) -> int:
        """Bytes on each device, all kinds together."""
        return sum(self.memory.values())


def train_step(
    task: Task,
    optimizer: OptimizerConfig,
    batch: dict[str, jax.ShapeDtypeStruct],
    mesh: Mesh,
    accumulate: int,
) -> Program:
    """The real train step on a global batch of these shapes."""
    init = steps.make_init(task, optimizer, 2, 0, batch)
    shapes, shardings = steps.state_shardings(init, mesh)
    state = _placed(shapes, shardings)
    placed = {key: _struct(x, batch_sharding(mesh)) for key, x in batch.items()}
    step = steps.jit_step(steps.make_step(task, optimizer, 2, 0, accumulate=accumulate), shardings, mesh)
    kinds = {
        "parameters that train": state.params,
        "frozen parameters": state.frozen,
        "optimiser state": state.opt_state,
        "average": state.ema,
        "batch": placed,
    }
    with _told("train step", mesh):
        return _compile(lambda: step.lower(state, placed), mesh, kinds, donated=True)


def denoise_step(
    model: nn.Module, size: ClipSize, mesh: Mesh, *, text_length: int, dtype: Any, branches: int
) -> Program:
    """One evaluation of the denoiser for one clip under guidance: `branches` of the batch, parameters in `dtype`."""
    params = _parameters(model, mesh, dtype)
    config: Any = getattr(model, "config")  # noqa: B009 - every network of the registry has one
    dit = config.dit if isinstance(model, MTV) else config
    latents = (branches, size.latent_frames, size.latent_height, size.latent_width, dit.out_channels)
    inputs = {
        "latents": latents,
        "timesteps": (branches,),
        "text": (branches, text_length, dit.text_embed_dim),
    }
    audio = {}
    if isinstance(model, MTV):
        control = config.controlnet
        shape = (
            branches,
            control.sound_frames(size.latent_frames),
            control.audio_layers,
            control.audio_channels,
        )
        audio = {track: _input(shape, mesh) for track in control_tracks(control.num_speakers)}
    placed = [_input(shape, mesh) for shape in inputs.values()]
    run = jax.jit(model.apply)
    kinds = {"parameters": params, "inputs": [placed, audio]}
    with _told("denoise step", mesh):
        return _compile(lambda: run.lower(params, *placed, audio or None), mesh, kinds)


def decode_chunk(vae: Any, size: ClipSize, mesh: Mesh, *, dtype: Any) -> Program:
    """The decoder on the first latents of a clip, the most that it takes at once; each device does all of it."""
    params = _parameters(vae, mesh, dtype)
    frames = chunk_lengths(size.latent_frames, DECODE_CHUNK)[0]
    shape = (1, frames, size.latent_height, size.latent_width, vae.config.latent_channels)
    latents = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, PartitionSpec()))
    alone = chunk_starts_alone(0, frames, True)
    with _told("decoder", mesh):
        return _compile(
            lambda: streaming.decode_chunk.lower(vae, params, latents, None, alone),
            mesh,
            {"parameters": params, "inputs": latents},
        )


def _compile(lower: Any, mesh: Mesh, kinds: dict[str, Any], *, donated: bool = False) -> Program:
    begun = time.monotonic()
    with jax.set_mesh(mesh):
        compiled = lower().compile()
    seconds = time.monotonic() - begun
    found = compiled.memory_analysis()
    memory = {kind: _bytes(tree) for kind, tree in kinds.items() if tree is not None}
    new = found.output_size_in_bytes - (found.alias_size_in_bytes if donated else 0)
    memory |= {"outputs": max(new, 0), "temporary": found.temp_size_in_bytes}
    memory["program"] = found.generated_code_size_in_bytes
    return Program(memory, collectives(compiled.as_text()), seconds)


def _bytes(tree: Any) -> int:
    """Bytes of a tree of placed shapes on one device."""
    total = 0
    for leaf in jax.tree.leaves(tree):
        shape = leaf.sharding.shard_shape(leaf.shape)
        total += leaf.dtype.itemsize * math.prod(shape)
    return total


def _parameters(model: nn.Module, mesh: Mesh, dtype: Any) -> Any:
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype), parameter_shapes(model))
    return _placed(shapes, tree_shardings(shapes, mesh))


def _placed(shapes: Any, shardings: Any) -> Any:
    return jax.tree.map(_struct, shapes, shardings)


def _struct(x: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def _input(shape: tuple[int, ...], mesh: Mesh) -> jax.ShapeDtypeStruct:
    with jax.set_mesh(mesh):
        spec = PartitionSpec(batch_axes(shape[0]))
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, spec))


@contextmanager
def _told(what: str, mesh: Mesh) -> Iterator[None]:
    """Turns the compiler's refusal for lack of memory into one line."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        sizes = " x ".join(f"{n} {axis}" for axis, n in mesh.shape.items())
        lines = [line.strip() for line in str(error).splitlines() if "hbm" in line.lower()]
        raise UserError(f"{what} on {sizes}: does not fit: {(lines or [str(error)[:200]])[0]}") from error
