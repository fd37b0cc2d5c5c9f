"""SyncNet: the tensor names of `SyncNetModel.S` of joonson/syncnet_python."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtv_jax.models.syncnet import SyncNet, SyncNetConfig
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.pretrained import Place, fill
from mtv_jax.weights.rules import CONV2D, CONV3D, Layout, Rule, batch_norm, linear
from mtv_jax.weights.torch_files import read_torch

CLASS_NAME = "SyncNet"
"""Class name in config.json."""
_FIELDS = {field.name: field.name for field in dataclasses.fields(SyncNetConfig)}
_CONVOLUTIONS = (0, 4, 8, 11, 14, 18)
"""Positions of a tower's convolutions; the normalisation of each follows it."""


def _tower(name: str, path: str, layout: Layout) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for number, position in enumerate(_CONVOLUTIONS):
        rules += linear(f"netcnn{name}.{position}", f"{path}/conv_{number}", layout)
        rules += batch_norm(f"netcnn{name}.{position + 1}", f"{path}/norm_{number}")
    rules += linear(f"netfc{name}.0", f"{path}/head/hidden")
    rules += batch_norm(f"netfc{name}.1", f"{path}/head/norm")
    rules += linear(f"netfc{name}.3", f"{path}/head/out")
    return tuple(rules)


RULES = (*_tower("aud", "audio_tower", CONV2D), *_tower("lip", "video_tower", CONV3D))

IGNORED = (r".*\.num_batches_tracked",)
"""Counters of the training."""


def config_from_json(json: Mapping[str, Any]) -> SyncNetConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    origin = f"{CLASS_NAME} config.json"
    return SyncNetConfig(
        **read_fields(json, _FIELDS, harmless=DIFFUSERS_HARMLESS, required=_FIELDS, origin=origin)
    )


def config_to_json(config: SyncNetConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    fields = dataclasses.asdict(config)
    lists = {name: list(value) for name, value in fields.items() if isinstance(value, tuple)}
    return {"_class_name": CLASS_NAME, **fields, **lists}


def open_syncnet(path: Path, settle: Place) -> tuple[SyncNet, Params]:
    """The network from the original's `syncnet_v2.model`, with `settle(path, leaf)` for each parameter.

    Raises UserError as `load_model` does.
    """
    model = SyncNet(SyncNetConfig.syncnet_v2())
    return model, fill(read_torch([path]), model, settle, path)
