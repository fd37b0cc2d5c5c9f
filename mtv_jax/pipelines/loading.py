"""From a folder to the pipeline of its system."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import visible
from mtv_jax.models.denoisers import backbone_config
from mtv_jax.models.vae3d import AutoencoderConfig
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.pipelines.cogvideox import CogVideoXImageToVideoPipeline, CogVideoXPipeline
from mtv_jax.pipelines.maestro.pipeline import MaestroPipeline
from mtv_jax.pipelines.mtv import MTVPipeline
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.model_index import IMAGE_TO_VIDEO, MAESTRO, MTV, TEXT_TO_VIDEO, read_class, read_defaults
from mtv_jax.weights.pretrained import is_untrained, load_model, pipeline_parts
from mtv_jax.weights.scheduler import load_schedule

SYSTEMS: dict[str, type[Pipeline]] = {
    MTV: MTVPipeline,
    MAESTRO: MaestroPipeline,
    TEXT_TO_VIDEO: CogVideoXPipeline,
    IMAGE_TO_VIDEO: CogVideoXImageToVideoPipeline,
}
"""The class in `model_index.json` -> the system that it is."""


def load_pipeline(folder: Path, *, dtype: Any, mesh: Mesh | None) -> Pipeline:
    """As `Pipeline.from_pretrained`, of a folder."""
    dtype = jnp.dtype(dtype)
    system, defaults = system_of(folder), read_defaults(folder)
    denoiser, denoiser_params = load_model(folder, dtype=dtype, mesh=mesh)
    vae, vae_params = load_model(folder / "vae", dtype=dtype, mesh=mesh)
    text_encoder = TextEncoder.from_pretrained(folder, defaults.text, dtype=dtype, mesh=mesh)
    parts: dict[str, Any] = {
        "denoiser": denoiser,
        "denoiser_params": denoiser_params,
        "vae": vae,
        "vae_params": vae_params,
        "text_encoder": text_encoder,
        "schedule": load_schedule(folder / "scheduler"),
        "defaults": defaults,
        "untrained": untrained_parts(folder),
        "folder": folder,
    }
    _check_parts(folder, backbone_config(denoiser), vae.config, text_encoder)  # pyright: ignore[reportAttributeAccessIssue]
    return system(**parts, **system.load_parts(folder, denoiser, dtype=dtype, mesh=mesh))


def system_of(folder: Path) -> type[Pipeline]:
    """The system of a pipeline folder."""
    return SYSTEMS[read_class(folder)]


def untrained_parts(folder: Path) -> tuple[str, ...]:
    """The parts of a pipeline folder whose weights are random, made from a seed."""
    names = [path.name for path in visible(folder) if (path / CONFIG_FILE).exists()]
    return tuple(name for name in names if is_untrained(folder / name))


def _check_parts(folder: Path, backbone: Any, vae: AutoencoderConfig, text: TextEncoder) -> None:
    """Raises UserError, naming the folders, if what one network gives is not what another takes."""
    channels, width = vae.latent_channels, text.model.config.d_model
    denoiser = pipeline_parts(folder)[0].name
    if backbone.out_channels != channels or backbone.in_channels < channels:
        raise UserError(
            f"{folder}: vae/ has latents of {channels} channels, {denoiser}/ takes {backbone.in_channels} and gives "
            f"{backbone.out_channels}"
        )
    if backbone.text_embed_dim != width:
        raise UserError(
            f"{folder}: text_encoder/ gives embeddings of {width} numbers, {denoiser}/ takes "
            f"{backbone.text_embed_dim}"
        )
    if backbone.text_length_is_fixed and text.text_length > backbone.max_text_seq_length:
        raise UserError(
            f"{folder}: model_index.json has a text_length of {text.text_length}, {denoiser}/ takes at most "
            f"{backbone.max_text_seq_length}"
        )
