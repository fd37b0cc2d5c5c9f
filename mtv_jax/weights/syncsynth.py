"""SyncSynth: the project's own names, laid out as torch modules would be."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mtv_jax.models.syncsynth import SyncSynthConfig
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.rules import CONV1D, CONV2D, LINEAR, Layout, Rule

CLASS_NAME = "SyncSynth"
"""In config.json."""
_FIELDS = {field.name: field.name for field in dataclasses.fields(SyncSynthConfig)}


def _layer(name: str, layout: Layout, path: str | None = None) -> tuple[Rule, Rule]:
    path = path or name
    return Rule(f"{name}.weight", f"{path}/kernel", layout), Rule(f"{name}.bias", f"{path}/bias")


RULES = (
    *_layer("convs.{i}", CONV2D, "convs_{i}"),
    *(rule for side in ("picture", "sound") for rule in _layer(side, LINEAR)),
    *(rule for side in ("picture", "sound") for rule in _layer(f"{side}_time", CONV1D)),
    *(rule for side in ("picture", "sound") for rule in _layer(f"{side}_out", LINEAR)),
)


def config_from_json(json: Mapping[str, Any]) -> SyncSynthConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    values = read_fields(
        json, _FIELDS, harmless=DIFFUSERS_HARMLESS, required=_FIELDS, origin=f"{CLASS_NAME} config.json"
    )
    return SyncSynthConfig(**values)


def config_to_json(config: SyncSynthConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    values = dataclasses.asdict(config)
    return {
        "_class_name": CLASS_NAME,
        **{key: list(value) if isinstance(value, tuple) else value for key, value in values.items()},
    }
