"""Builds the job of the training loop from the config of a run, and runs it."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from mtv_jax.data.pipeline import DataConfig, batch_shapes, check_reading, make_dataset
from mtv_jax.data.shards import ShardSet, open_shards
from mtv_jax.io.config import to_plain
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory
from mtv_jax.models.registry import make_config, trained_by
from mtv_jax.names import person_of
from mtv_jax.pipelines.presets import PIPELINE
from mtv_jax.sharding.mesh import check_batch_size, make_mesh
from mtv_jax.training.build import make_task
from mtv_jax.training.cim_export import check_pipeline
from mtv_jax.training.configs import TrainConfig
from mtv_jax.training.export import encoders_folder, export, has_encoders
from mtv_jax.training.init import initial_params_of
from mtv_jax.training.loop import Job, NonFiniteError, fit
from mtv_jax.training.samples import make_sample_fn
from mtv_jax.training.stop import StoppedError
from mtv_jax.training.tasks import Task, VAELossConfig
from mtv_jax.weights.pretrained import load_config


@dataclass(frozen=True)
class Setup:
    """The network, task and data of a config.

    Attributes:
      config: with the scale of the latents.
      model, task: the network, and how it is trained.
      shards, reading: the data, and how batches are read from them.
    """

    config: TrainConfig
    model: Any
    task: Task
    shards: ShardSet
    reading: DataConfig


def check_config(config: TrainConfig) -> None:
    """Raises UserError for errors that can be detected without data: in the mesh, the batch size or the network."""
    check_batch_size(make_mesh(config.mesh), config.data.batch_size, config.accumulate)
    section, known = config.model, trained_by(config.task)
    if section.name not in known:
        raise UserError(
            f"config.model.name {section.name!r}: the task {config.task!r} trains {' or '.join(known)}"
        )
    network = make_config(section.name, section.variant, section.overrides)
    if config.task == "cim" and (config.sample.every or config.evaluate.every):
        raise UserError(
            "config.sample.every, config.evaluate.every: the task 'cim' makes no videos; set them to 0, and sample "
            "from the exported pipeline"
        )
    if config.pipeline and config.task != "cim":
        raise UserError(f"config.pipeline {config.pipeline}: only the task 'cim' has one")
    if config.pipeline:
        check_pipeline(Path(config.pipeline), network)


def set_up(config: TrainConfig) -> Setup:
    """Builds the model and the task of a config and opens its shards without reading records.

    Raises UserError as `check_config`, for other errors in the config, and for shards that do not fit it.
    """
    check_config(config)
    config = _with_latent_scale(config)
    model, task = make_task(config)
    shards = open_shards(config.data.dir)
    reading = config.data.pipeline(task.keys, config.data_seed)
    _check_speakers(task.keys, shards)
    check_reading(shards, reading)
    return Setup(config, model, task, shards, reading)


def _check_speakers(keys: Sequence[str], shards: ShardSet) -> None:
    """Raises UserError for shards of more or fewer speakers than the network takes.

    Of more, some would be seen to speak and not heard.
    """
    taken, there = (
        sum(person_of(name) is not None for name in names) for names in (keys, list(shards.shapes))
    )
    if taken and there and taken != there:
        raise UserError(
            f"{shards.directory}: has the speech of {there} speaker(s), and the network takes {taken}; make shards for "
            f"as many, or give --config.model.overrides.controlnet.num_speakers={there}"
        )


def make_job(setup: Setup, values: ConfigDict, workdir: Path, **options: Any) -> Job:
    """The job of a run in `workdir`.

    Args:
      setup: of the run.
      values: the tree that its config was made from; checkpoints keep it.
      workdir: where checkpoints, metrics and samples go.
      options: other fields of `Job`: `evaluate`, `throughput`, `skip`, `check`.
    """
    config, shards, reading = setup.config, setup.shards, setup.reading
    identity = to_plain(values)
    identity["data"] |= {"dir": config.data.dir, "shards": _content(shards)}
    return Job(
        config,
        setup.task,
        batch_shapes(shards, reading),
        lambda first: make_dataset(shards, reading, first_batch=first),
        workdir,
        identity,
        sample=make_sample_fn(config, setup.model, setup.task, shards),
        initial_params=initial_params_of(config.init_from, setup.model, workdir),
        **options,
    )


def run_job(job: Job) -> int:
    """Trains, and makes the pipeline folder of a run that is done. Returns the command's exit status."""
    try:
        state = fit(job)
    except NonFiniteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    if jax.process_index() == 0:
        print(f"checkpoints and metrics: {job.workdir}")
        done = int(state.step) >= job.config.num_steps
        if done and (job.config.task != "denoiser" or has_encoders(job.config)):
            _export(job.workdir, job.config.pipeline)
    return 0


def _export(workdir: Path, pipeline: str | None) -> None:
    """Makes the pipeline folder of a finished run, or prints the command that does."""
    if jax.process_count() > 1:
        # Orbax reads with all processes or with one, and the others have exited by now.
        print(f"pipeline folder: python -m mtv_jax.convert --from train --in {workdir} --out DIR")
        return
    export(workdir, workdir / PIPELINE, pipeline=pipeline)
    print(f"pipeline folder: {workdir / PIPELINE}")


def _with_latent_scale(config: TrainConfig) -> TrainConfig:
    """The config with the scale of the latents; by default that of the autoencoder beside the shards."""
    loss = config.loss
    if isinstance(loss, VAELossConfig) or loss.scaling_factor is not None:
        return config
    if not has_encoders(config):
        existing_directory(config.data.dir)
        raise UserError(
            f"{config.data.dir}: no encoders/ beside the shards to take the scale of the latents from; "
            "add --config.loss.scaling_factor=VALUE"
        )
    vae = load_config(encoders_folder(config) / "vae")
    return replace(config, loss=replace(loss, scaling_factor=vae.scaling_factor))


def _content(shards: ShardSet) -> str:
    """An identifier of the content of shards, independent of their path."""
    digests = "".join(shard["sha256"] for shard in shards.manifest["shards"])
    return hashlib.sha256(digests.encode()).hexdigest()[:16]
