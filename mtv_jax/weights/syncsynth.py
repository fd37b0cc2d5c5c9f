"""SyncSynth: the project's own tensor names, in torch layouts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mtv_jax.models.syncsynth import SyncSynthConfig
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.rules import CONV1D, CONV2D, linear

CLASS_NAME = "SyncSynth"
"""Class name in config.json."""
_FIELDS = {field.name: field.name for field in dataclasses.fields(SyncSynthConfig)}


RULES = (
    *linear("convs.{i}", "convs_{i}", CONV2D),
    *(rule for name in ("picture", "sound") for rule in linear(name, name)),
    *(rule for name in ("picture_time", "sound_time") for rule in linear(name, name, CONV1D)),
    *(rule for name in ("picture_out", "sound_out") for rule in linear(name, name)),
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
