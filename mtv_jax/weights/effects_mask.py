"""The effects mask: the project's own tensor names, in torch layouts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mtv_jax.models.effects_mask import EffectsMaskConfig
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.rules import CONV1D, CONV2D, linear, norm

CLASS_NAME = "EffectsMask"
"""Class name in config.json."""
_FIELDS = {field.name: field.name for field in dataclasses.fields(EffectsMaskConfig)}


RULES = (
    *(rule for name in ("down", "join") for rule in linear(f"{name}.{{i}}", f"{name}_{{i}}", CONV2D)),
    *linear("up.{i}", "up_{i}"),
    *norm("norms.{i}", "norms_{i}"),
    *linear("times.{i}", "times_{i}", CONV1D),
    *linear("inner", "inner"),
    *linear("outer", "outer"),
    *linear("mask", "mask", CONV2D),
)


def config_from_json(json: Mapping[str, Any]) -> EffectsMaskConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    values = read_fields(
        json, _FIELDS, harmless=DIFFUSERS_HARMLESS, required=_FIELDS, origin=f"{CLASS_NAME} config.json"
    )
    return EffectsMaskConfig(**values)


def config_to_json(config: EffectsMaskConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    values = dataclasses.asdict(config)
    return {
        "_class_name": CLASS_NAME,
        **{key: list(value) if isinstance(value, tuple) else value for key, value in values.items()},
    }
