"""The speaker encoder: the tensor names of Resemblyzer's `VoiceEncoder`."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from mtv_jax.models.ge2e import GE2E, GE2EConfig
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.placement import place
from mtv_jax.weights.pretrained import fill
from mtv_jax.weights.rules import LINEAR, Rule, linear
from mtv_jax.weights.torch_files import read_torch

CLASS_NAME = "VoiceEncoder"
"""Class name in config.json."""
_FIELDS = {field.name: field.name for field in dataclasses.fields(GE2EConfig)}

RULES = (
    Rule("lstm.weight_ih_l{n}", "lstm_{n}/input/kernel", LINEAR),
    Rule("lstm.bias_ih_l{n}", "lstm_{n}/input/bias"),
    Rule("lstm.weight_hh_l{n}", "lstm_{n}/kernel", LINEAR),
    Rule("lstm.bias_hh_l{n}", "lstm_{n}/bias"),
    *linear("linear", "linear"),
)

IGNORED = (r"similarity_(weight|bias)",)
"""Of the loss."""


def config_from_json(json: Mapping[str, Any]) -> GE2EConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    origin = f"{CLASS_NAME} config.json"
    return GE2EConfig(
        **read_fields(json, _FIELDS, harmless=DIFFUSERS_HARMLESS, required=_FIELDS, origin=origin)
    )


def config_to_json(config: GE2EConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    return {"_class_name": CLASS_NAME, **dataclasses.asdict(config)}


def load_resemblyzer(path: Path) -> tuple[GE2E, Params]:
    """The network from Resemblyzer's `pretrained.pt`. Raises UserError as `load_model` does."""
    model = GE2E(GE2EConfig.resemblyzer())
    tensors = read_torch([path], entry="model_state")
    return model, fill(tensors, model, partial(place, dtype=jnp.float32, mesh=None), path)
