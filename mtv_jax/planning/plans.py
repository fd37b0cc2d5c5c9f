"""From the config of a run to its plans."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.dit import DiTConfig
from mtv_jax.models.mtv import MTV
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.vae3d.model import DECODE_CHUNK, chunk_lengths
from mtv_jax.planning import programs
from mtv_jax.planning.chips import Topology
from mtv_jax.planning.flops import ClipSize, forward_flops
from mtv_jax.planning.report import Plan, Work
from mtv_jax.sharding.mesh import MeshConfig, check_batch_size, make_mesh
from mtv_jax.training.build import DTYPES, make_task
from mtv_jax.training.configs import TrainConfig
from mtv_jax.training.optim import is_trainable
from mtv_jax.training.tasks import DenoiserLossConfig
from mtv_jax.typing import control_tracks

BRANCHES = 2
"""Of guidance: with the conditions, and without."""


def training_plan(config: TrainConfig, topology: Topology) -> Plan:
    """The train step of a config's global batch, and the whole of its steps."""
    model, task = make_task(_with_scale(config))
    mesh = _mesh(config.mesh, topology)
    check_batch_size(mesh, config.data.batch_size, config.accumulate)
    size = clip_size(model)
    batch = _batch(model, size, config.data.batch_size)
    program = programs.train_step(task, config.optimizer, batch, mesh, config.accumulate)
    work = training_work(config, model, size)
    return Plan("train step", topology, dict(mesh.shape), program, work, config.num_steps)


def training_work(config: TrainConfig, model: Any, size: ClipSize) -> Work:
    """Operations of a training step of `model` on a global batch of clips."""
    needed, run = forward_flops(model, size).training(
        is_trainable(config.optimizer), recomputes=config.model.remat in ("block", "offload")
    )
    return Work(needed * config.data.batch_size, run * config.data.batch_size)


def sampling_plans(config: TrainConfig, topology: Topology, steps: int) -> list[Plan]:
    """A sampling step of one clip with guidance, in bfloat16, and the decoder."""
    model, _ = make_task(_with_scale(config))
    mesh = _mesh(config.mesh, topology)
    size = clip_size(model)
    dtype = DTYPES["bfloat16"]
    low = make_model(config.model.name, model.config, dtype=dtype)
    step = programs.denoise_step(
        low, size, mesh, text_length=_dit(model).max_text_seq_length, dtype=dtype, branches=BRANCHES
    )
    flops = BRANCHES * forward_flops(model, size).total
    vae = make_model("vae3d", make_config("vae3d", "cogvideox_5b"), dtype=dtype)
    decoder = programs.decode_chunk(vae, size, mesh, dtype=dtype)
    shape, chunks = dict(mesh.shape), len(chunk_lengths(size.latent_frames, DECODE_CHUNK))
    return [
        Plan("denoise step", topology, shape, step, Work(flops, flops), steps),
        Plan("decoder, its largest chunk", topology, shape, decoder, None, chunks),
    ]


def clip_size(model: Any) -> ClipSize:
    """The clips a denoiser is trained at."""
    dit = _dit(model)
    return ClipSize(dit.sample_frames, dit.sample_height, dit.sample_width)


def _dit(model: Any) -> DiTConfig:
    return model.config.dit if isinstance(model, MTV) else model.config


def _with_scale(config: TrainConfig) -> TrainConfig:
    """The config with some scale of the latents: it changes no shape."""
    if not isinstance(config.loss, DenoiserLossConfig):
        raise UserError(f"config.task {config.task!r}: only the training of a denoiser can be planned")
    return replace(config, loss=replace(config.loss, scaling_factor=config.loss.scaling_factor or 1.0))


def _mesh(config: MeshConfig, topology: Topology) -> Any:
    return make_mesh(config, topology.devices)


def _batch(model: Any, size: ClipSize, rows: int) -> dict[str, jax.ShapeDtypeStruct]:
    """A global batch as the shards of full-size clips hold it."""
    struct = partial(_rows, rows)
    dit = _dit(model)
    latents = (size.latent_frames, size.latent_height, size.latent_width, dit.out_channels)
    batch = {"latents_mean": struct(latents), "latents_logvar": struct(latents)}
    batch["text"] = struct((dit.max_text_seq_length, dit.text_embed_dim))
    if isinstance(model, MTV):
        control = model.config.controlnet
        shape = (control.sound_frames(size.latent_frames), control.audio_layers, control.audio_channels)
        batch |= {track: struct(shape) for track in control_tracks(control.num_speakers)}
    return batch


def _rows(rows: int, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((rows, *shape), jnp.float32)
