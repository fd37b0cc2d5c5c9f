"""Builds the plans of a run from its config."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.denoisers import backbone_config, track_shapes
from mtv_jax.models.registry import make_config, make_model, spec_of
from mtv_jax.models.vae3d import Tiling
from mtv_jax.models.vae3d.model import DECODE_CHUNK, chunk_lengths
from mtv_jax.ops.mesh import batch_axes
from mtv_jax.planning import programs
from mtv_jax.planning.chips import Topology
from mtv_jax.planning.estimates import placed_bytes
from mtv_jax.planning.flops import forward_flops
from mtv_jax.planning.report import Plan, Work
from mtv_jax.planning.sizes import LatentSize
from mtv_jax.sharding.mesh import AnyMesh, abstract_mesh, check_batch_size, replicated
from mtv_jax.training.build import DTYPES, make_task
from mtv_jax.training.cim_task import CIMLossConfig
from mtv_jax.training.configs import TrainConfig, load_train_config, train_config
from mtv_jax.training.optim import is_trainable
from mtv_jax.training.samples import decodes_in_tiles
from mtv_jax.training.tasks import VAELossConfig

BRANCHES = 2
"""Branches of guidance: with and without the conditions."""
_AUTOENCODERS = {"vae3d": "cogvideox_5b", "kl_vae": "kl_f8"}
"""The released variant of each."""


def training_plans(config: TrainConfig, topology: Topology) -> list[Plan]:
    """The train step of a config's global batch and, if it makes samples, their memory beside the state."""
    model, task = make_task(with_scale(config))
    mesh = topology.mesh(config.mesh)
    check_batch_size(mesh, config.data.batch_size, config.accumulate)
    size = latent_size(model)
    batch = training_batch(model, size, config.data.batch_size)
    training = programs.Training.of(task, config.optimizer, batch, mesh)
    step = programs.train_step(training, accumulate=config.accumulate, dtype=model.dtype)
    work = training_work(config, model, size)
    plans = [Plan("train step", topology, dict(mesh.shape), step, work, config.num_steps)]
    return plans + (_sample_plans(config, model, topology, training) if config.sample.every else [])


def training_state_bytes(spec: str) -> int:
    """Bytes of a config's training state on each available device, without the batch.

    `spec` is as for `--config`. Raises UserError for a mesh that does not fit the devices.
    """
    values = load_train_config(spec).to_dict()
    # No data is read, so the path may be missing.
    values["data"]["dir"] = values["data"].get("dir") or "none"
    config = train_config(values)
    if isinstance(config.loss, VAELossConfig):
        model, task = make_task(config)
        batch = {"video": _rows(1, (5, 16, 16, model.config.in_channels))}
    else:
        model, task = make_task(with_scale(config))
        batch = training_batch(model, latent_size(model), 1)
    mesh = abstract_mesh(config.mesh, jax.device_count())
    return placed_bytes(programs.Training.of(task, config.optimizer, batch, mesh).state)


def _sample_plans(
    config: TrainConfig, model: Any, topology: Topology, training: programs.Training
) -> list[Plan]:
    """Samples during training (`mtv_jax.training.samples`): a step of the denoiser and the decoder beside the state."""
    mesh, size, how = training.mesh, latent_size(model), config.sample
    branches = 1 if how.guidance_scale == 1 else BRANCHES
    params = programs.parameters(model, mesh, jnp.float32)
    resident = training.resident | training.sampled
    step = programs.denoise_step(model, params, size, mesh, branches=branches, resident=resident)
    vae = _autoencoder(model, model.dtype)
    cells, tiles = size, 1
    if decodes_in_tiles(vae.config, size.latent_height, size.latent_width):
        tiling = Tiling.aligned(vae.config)
        cells = LatentSize(size.latent_frames, *tiling.cells(vae.config))
        tiles = tiling.count(vae.config, size.latent_height, size.latent_width)
        resident |= {"video, put together": _tiled_video(vae, size, mesh)}
    decoder = programs.decode_chunk(vae, cells, mesh, dtype=model.dtype, resident=resident)
    samples = config.num_steps // how.every
    flops, shape = branches * forward_flops(model, size).total, dict(mesh.shape)
    work, steps = Work(flops, flops * _copies(mesh, branches)), samples * how.num_inference_steps
    chunks = samples * tiles * len(chunk_lengths(size.latent_frames, DECODE_CHUNK))
    return [
        Plan("samples: denoise step", topology, shape, step, work, steps),
        Plan("samples: decoder, largest chunk", topology, shape, decoder, None, chunks),
    ]


def _copies(mesh: AnyMesh, rows: int) -> float:
    """Number of devices that repeat the same work: rows too few to be split are replicated."""
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        axes = batch_axes(rows) or ()
    return mesh.size / math.prod(mesh.shape[axis] for axis in (*axes, "tensor", "context"))


def _tiled_video(vae: Any, size: LatentSize, mesh: AnyMesh) -> jax.ShapeDtypeStruct:
    """Bytes of the frames of a clip twice, as held while its tiles are concatenated."""
    frames = 1 + vae.config.temporal_compression_ratio * (size.latent_frames - 1)
    height, width = (
        n * vae.config.spatial_compression_ratio for n in (size.latent_height, size.latent_width)
    )
    shape = (2, frames, height, width, vae.config.out_channels)
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=replicated(mesh))


def training_work(config: TrainConfig, model: Any, size: LatentSize) -> Work:
    """Operations of a training step of `model` on a global batch of clips."""
    needed, run = forward_flops(model, size).training(
        is_trainable(config.optimizer), recomputes=config.model.remat in ("block", "offload")
    )
    rows = config.data.batch_size * passes(config)
    return Work(needed * rows, run * rows)


def passes(config: TrainConfig) -> int:
    """How often a step runs the network on each row."""
    return config.loss.copies if isinstance(config.loss, CIMLossConfig) else 1


def sampling_plans(config: TrainConfig, topology: Topology, steps: int, sources: int = 0) -> list[Plan]:
    """A sampling step of one clip with guidance, in bfloat16, and the decoder.

    `sources` is the number of sources of sound in boxes, for a UNet (Maestro). Raises UserError for other networks.
    """
    model, _ = make_task(with_scale(config))
    if config.task == "cim":
        raise UserError("--sample: the task 'cim' makes no videos; plan configs/maestro/video.py")
    if sources and spec_of(model).autoencoder != "kl_vae":
        raise UserError(
            f"--sources: network {config.model.name} takes no sources in boxes; videocrafter does"
        )
    mesh = topology.mesh(config.mesh)
    size = latent_size(model)
    dtype = DTYPES["bfloat16"]
    low = make_model(config.model.name, model.config, dtype=dtype)
    params = programs.parameters(low, mesh, dtype)
    step = programs.denoise_step(low, params, size, mesh, branches=BRANCHES, sources=sources)
    flops = BRANCHES * forward_flops(model, size, sources=sources).total
    vae = _autoencoder(model, dtype)
    decoder = programs.decode_chunk(vae, size, mesh, dtype=dtype)
    shape, chunks = dict(mesh.shape), len(chunk_lengths(size.latent_frames, DECODE_CHUNK))
    return [
        Plan("denoise step", topology, shape, step, Work(flops, flops), steps),
        Plan("decoder, its largest chunk", topology, shape, decoder, None, chunks),
    ]


def latent_size(model: Any) -> LatentSize:
    """The clips a denoiser is trained at."""
    backbone = backbone_config(model)
    return LatentSize(backbone.sample_frames, backbone.sample_height, backbone.sample_width)


def _autoencoder(model: Any, dtype: Any) -> Any:
    """The autoencoder of a denoiser's latents: of the released size, unless its latents have other channels."""
    name = spec_of(model).autoencoder
    released = make_config(name, _AUTOENCODERS[name])
    same = released.latent_channels == backbone_config(model).out_channels
    return make_model(name, released if same else make_config(name, "tiny"), dtype=dtype)


def with_scale(config: TrainConfig) -> TrainConfig:
    """The config with a placeholder latent scale, which does not affect shapes."""
    if isinstance(config.loss, VAELossConfig):
        raise UserError(f"config.task {config.task!r}: the training of an autoencoder cannot be planned")
    return replace(config, loss=replace(config.loss, scaling_factor=config.loss.scaling_factor or 1.0))


def training_batch(model: Any, size: LatentSize, rows: int) -> dict[str, jax.ShapeDtypeStruct]:
    """A global batch with the shapes of shards of full-size clips."""
    struct = partial(_rows, rows)
    backbone = backbone_config(model)
    latents = (size.latent_frames, size.latent_height, size.latent_width, backbone.out_channels)
    batch = {"latents_mean": struct(latents), "latents_logvar": struct(latents)}
    batch["text"] = struct((backbone.max_text_seq_length, backbone.text_embed_dim))
    tracks = track_shapes(model, size.latent_frames)
    return batch | {name: struct(shape) for name, shape in tracks.items()}


def _rows(rows: int, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((rows, *shape), jnp.float32)
