"""Exports a training directory as a pipeline folder: the averaged weights, in the format that other programs load."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mtv_jax.data.manifests import ENCODERS
from mtv_jax.data.shards import open_shards
from mtv_jax.data.transforms import to_unit
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_directory, link_tree, read_json_object, visible, write_json
from mtv_jax.models.registry import NETWORKS, make_config, make_model
from mtv_jax.training.checkpoint import load_trained
from mtv_jax.training.cim_export import export_cim
from mtv_jax.training.cim_task import CIMLossConfig
from mtv_jax.training.configs import TrainConfig, saved_train_config
from mtv_jax.training.tasks import VAELossConfig
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.model_index import (
    INDEX,
    PipelineDefaults,
    SamplingDefaults,
    TextOptions,
    index_json,
    read_defaults,
)
from mtv_jax.weights.pretrained import write_model
from mtv_jax.weights.scheduler import save_schedule

_CLIPS = 16
"""Number of clips that the scale of the latents is measured on."""


def export(workdir: Path, out: Path, *, pipeline: str | None = None) -> None:
    """Writes the newest checkpoint of a run as a pipeline folder.

    A denoiser is exported with the encoders of its shards and is ready to sample. An autoencoder is exported as a
    folder with `vae/`, whose `scaling_factor` is measured: one over the latents' standard deviation. A CIM is exported
    in a copy of the Maestro folder `pipeline` (default: that of the config), or alone if there is none.

    Raises UserError if there is no checkpoint, or the shards are missing.
    """
    params, run = load_trained(workdir)
    config = saved_train_config(run["config"])
    section = config.model
    network = make_config(section.name, section.variant, section.overrides)
    spec = NETWORKS[section.name]
    with atomic_directory(out) as temporary:
        if isinstance(config.loss, VAELossConfig):
            scale = 1 / latent_deviation(make_model(section.name, network), params, Path(config.data.dir))
            network = dataclasses.replace(network, scaling_factor=round(scale, 6))
            write_model(spec.folder_in(temporary), make_model(section.name, network), params)
        elif isinstance(config.loss, CIMLossConfig):
            export_cim(temporary, network, params, pipeline or config.pipeline)
        else:
            link_encoders(encoders_folder(config), temporary)
            _set_scale(temporary / "vae", config.loss.scaling_factor)
            write_json(temporary / INDEX, index_json(_defaults(config)))
            save_schedule(temporary / "scheduler", config.loss.schedule)
            write_model(spec.folder_in(temporary), make_model(section.name, network), params)


def _defaults(config: TrainConfig) -> PipelineDefaults:
    """Defaults of the exported pipeline: clips as in the shards, text and sampling as in training.

    Nothing is inherited from the backbone that the training started from: it may use another frame rate and size, and
    be conditioned on a first frame in channels that are zero here.
    """
    shards = open_shards(config.data.dir)
    stored = shards.manifest["arrays"]["text"]["shape"][0]
    how = config.sample
    length = stored if config.data.text_length is None else config.data.text_length
    padding = read_defaults(encoders_folder(config)).text.text_padding
    sampling = SamplingDefaults(
        no_text="zeros",  # `training.tasks.drop_conditions`
        sampler=how.sampler,
        num_inference_steps=how.num_inference_steps,
        guidance_scale=how.guidance_scale,
    )
    return PipelineDefaults(shards.clip_size, TextOptions(length, padding), sampling)


def _set_scale(vae: Path, scale: float | None) -> None:
    """Records the latent scale that a denoiser was trained with; None: that of the autoencoder, in its config."""
    values = read_json_object(vae / CONFIG_FILE)
    if scale is not None and values.get("scaling_factor") != scale:
        write_json(vae / CONFIG_FILE, {**values, "scaling_factor": scale})


def has_encoders(config: TrainConfig) -> bool:
    """Whether the encoders that made the shards are stored beside them."""
    return (Path(config.data.dir) / ENCODERS).is_dir()


def encoders_folder(config: TrainConfig) -> Path:
    """The encoders that made the shards of a run. Raises UserError if they are not stored beside the shards."""
    folder = Path(config.data.dir) / ENCODERS
    if not has_encoders(config):
        raise UserError(f"{folder}: no such folder; make the shards by `python -m mtv_jax.curate run`")
    return folder


def link_encoders(source: Path, target: Path) -> None:
    """Copies every part of a pipeline folder into an existing one."""
    for path in visible(source):
        if path.is_dir():
            link_tree(path, target / path.name)
        else:
            (target / path.name).write_bytes(path.read_bytes())


def latent_deviation(model: Any, params: Params, shards: Path) -> float:
    """Standard deviation of the posterior means of some clips of frames."""
    opened = open_shards(shards)
    encode = jax.jit(lambda p, video: model.apply(p, to_unit(video), method="encode")[0])
    numbers = np.linspace(0, len(opened) - 1, min(_CLIPS, len(opened))).round().astype(int)
    latents = [np.asarray(encode(params, opened.read(int(i)).arrays["video"][None])) for i in numbers]
    return float(np.std(np.concatenate(latents)))
