"""VideoCrafter's checkpoint, which holds three networks, as the folders of a Maestro pipeline."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object, write_json
from mtv_jax.models.videocrafter import VideoCrafterConfig
from mtv_jax.weights import clip_text, kl_vae, videocrafter
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.model_index import INDEX, index_json, maestro_defaults
from mtv_jax.weights.pretrained import writing_model
from mtv_jax.weights.rules import Leaf
from mtv_jax.weights.scheduler import save_schedule
from mtv_jax.weights.tensor_files import read_tensors
from mtv_jax.weights.torch_files import read_torch

_NETWORKS = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.model.")
"""Prefixes of the UNet's, the autoencoder's and the text encoder's tensors."""
_BUFFER = re.compile(r"[a-z0-9_]+")
"""Names of the tensors of the noise schedule, which follow from its options."""


def convert_videocrafter(source: Path, out: Path, dtype: Any = None) -> Iterator[str]:
    """VideoCrafter2's `model.ckpt` as `unet/`, `vae/`, `text_encoder/` and `scheduler/` in `out`, with an index.

    Sizes are those of a `config.json` beside the file, with the config of each of these folders by its name, or
    VideoCrafter2's. Yields each tensor's name. Raises UserError for missing or unexpected tensors and mismatched
    shapes.
    """
    tensors = _read(source)
    sizes = _sizes(source.parent / CONFIG_FILE)
    unet = sizes.get("unet") or VideoCrafterConfig.videocrafter2()
    vae, text, origin = sizes.get("vae"), sizes.get("text_encoder"), str(source)
    networks = {
        "unet": videocrafter.unet_of_checkpoint(tensors, unet, _leave, source),
        "vae": kl_vae.open_ldm_vae(tensors, _leave, config=vae, origin=origin),
        "text_encoder": clip_text.open_openclip_text(tensors, _leave, config=text, origin=origin),
    }
    for name, network in networks.items():
        for tensor in writing_model(out / name, *network, dtype=dtype):
            yield f"{name}/{tensor}"
    save_schedule(out / "scheduler", ScheduleConfig.videocrafter2())
    write_json(out / INDEX, index_json(maestro_defaults()))


def _read(source: Path) -> Mapping[str, Any]:
    """The tensors of a file, all of which must be of the three networks or of the noise schedule."""
    tensors = (
        read_tensors(source) if source.suffix == ".safetensors" else read_torch([source], entry="state_dict")
    )
    others = [key for key in tensors if not key.startswith(_NETWORKS) and not _BUFFER.fullmatch(key)]
    if others:
        raise UserError(f"{source}: no checkpoint of VideoCrafter, which has no {others[0]}")
    return tensors


def _sizes(file: Path) -> dict[str, Any]:
    """The configs of a file, if there is one."""
    if not file.exists():
        return {}
    values = read_json_object(file)
    tables = {"unet": videocrafter, "vae": kl_vae, "text_encoder": clip_text}
    with errors_in_file(file):
        if set(values) != set(tables):
            raise UserError(f"has {', '.join(values)}; must have the configs of {', '.join(tables)}")
        return {name: table.config_from_json(values[name]) for name, table in tables.items()}


def _leave(path: str, leaf: Leaf) -> Leaf:
    return leaf
