"""Exports a trained Condition Injection Module in a copy of a Maestro pipeline, whose UNet makes videos."""

import dataclasses
from pathlib import Path

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, link_tree, read_json_object, visible, write_json
from mtv_jax.models.cim_unet2d import CIMUNet2DConfig
from mtv_jax.models.registry import make_model
from mtv_jax.models.videocrafter.config import VideoCrafterConfig
from mtv_jax.typing import Params
from mtv_jax.weights.maestro_defaults import MaestroDefaults
from mtv_jax.weights.model_index import INDEX, index_json, read_defaults
from mtv_jax.weights.pretrained import load_config, write_model

HEARING = {"imagebind": "imagebind_audio", "cim": "cim"}
"""Folder -> network, of those that are exported: what the CIM hears with goes with it."""


def check_pipeline(folder: Path, config: CIMUNet2DConfig) -> None:
    """Raises UserError unless `folder` has a video UNet that takes the tokens of the trained CIM.

    It is a Maestro pipeline, or one of text alone (configs/maestro/video.py).
    """
    existing_directory(folder)
    unet = load_config(folder / "unet") if (folder / "unet").is_dir() else None
    if not isinstance(unet, VideoCrafterConfig):
        raise UserError(
            f"config.pipeline {folder}: no unet/ in it that makes videos; give a Maestro pipeline, or what "
            "configs/maestro/video.py trains"
        )
    if unet.text_embed_dim != config.cim.output_dim:
        raise UserError(
            f"config.pipeline {folder}: unet/ does not take tokens of {config.cim.output_dim} numbers, which are the "
            "trained network's"
        )


def export_cim(out: Path, config: CIMUNet2DConfig, params: Params, pipeline: str | None) -> None:
    """Writes the networks for sound into the existing folder `out`, and all else of `pipeline` if there is one.

    The UNet that they were trained with is left out. Raises UserError as `check_pipeline`.
    """
    if pipeline:
        source = Path(pipeline)
        check_pipeline(source, config)
        for path in visible(source):
            if path.is_dir() and path.name not in HEARING:
                link_tree(path, out / path.name)
        _write_index(source, out, config.first_slot)
    for folder, name in HEARING.items():
        part = make_model(name, getattr(config, folder))
        write_model(out / folder, part, {"params": params["params"][folder]})


def _write_index(source: Path, out: Path, first_slot: int) -> None:
    """The `model_index.json` of `source`, with the slots of the text that the tokens were trained for."""
    defaults = read_defaults(source)
    maestro = defaults.maestro or MaestroDefaults()
    if maestro.options("LR").first_slot != first_slot:
        mosaic = dict(maestro.mosaic) | {"first_slot": first_slot}
        maestro = dataclasses.replace(maestro, mosaic=tuple(mosaic.items()))
    changed = dataclasses.replace(defaults, maestro=maestro)
    write_json(out / INDEX, read_json_object(source / INDEX) | index_json(changed))
