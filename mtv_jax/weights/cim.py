"""The Condition Injection Module: tensor names of kuai-lab/eaai25_complex_A2V.

The original's file, `perceiver.pth`, comes without a config. Our config.json has the names of the arguments of its
`AudioResampler`.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object
from mtv_jax.models.cim import CIMConfig, ConditionInjectionModule
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import CONFIG_FILE, DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.pretrained import Place, fill
from mtv_jax.weights.rules import BATCHED, LINEAR, Rule, linear, norm
from mtv_jax.weights.torch_files import read_torch

CLASS_NAME = "ConditionInjectionModule"
"""Class name in config.json."""
_ATTENTION, _MLP = "layers.{layer}.0.", "layers.{layer}.1."

RULES = (
    Rule("latents", "latents", BATCHED),
    *linear("proj_in", "proj_in"),
    *norm(f"{_ATTENTION}norm1", "blocks/attention/sound_norm"),
    *norm(f"{_ATTENTION}norm2", "blocks/attention/latents_norm"),
    Rule(f"{_ATTENTION}to_q.weight", "blocks/attention/q/kernel", LINEAR),
    Rule(f"{_ATTENTION}to_kv.weight", ("blocks/attention/k/kernel", "blocks/attention/v/kernel"), LINEAR),
    Rule(f"{_ATTENTION}to_out.weight", "blocks/attention/out/kernel", LINEAR),
    *norm(f"{_MLP}0", "blocks/mlp/norm"),
    Rule(f"{_MLP}1.weight", "blocks/mlp/up/kernel", LINEAR),
    Rule(f"{_MLP}3.weight", "blocks/mlp/down/kernel", LINEAR),
    *linear("proj_out", "proj_out"),
    *norm("norm_out", "norm_out"),
)

_FIELDS = {field.name: field.name for field in dataclasses.fields(CIMConfig)}
_VIDEO_LENGTH = "video_length"
"""Argument of the original that multiplies the queries."""


def config_from_json(json: Mapping[str, Any]) -> CIMConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    fields = _FIELDS | {_VIDEO_LENGTH: _VIDEO_LENGTH}
    origin = f"{CLASS_NAME} config.json"
    values = read_fields(json, fields, harmless=DIFFUSERS_HARMLESS, required=_FIELDS, origin=origin)
    frames = values.pop(_VIDEO_LENGTH, None)
    config = CIMConfig(**values)
    if frames is None:
        return config
    if not isinstance(frames, int) or frames < 1:
        raise UserError(f"{origin}: {_VIDEO_LENGTH} {frames!r}: must be a whole number, 1 or more")
    return dataclasses.replace(config, num_queries=frames * config.num_queries)


def config_to_json(config: CIMConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    return {"_class_name": CLASS_NAME, **dataclasses.asdict(config)}


def open_cim(path: Path, settle: Place) -> tuple[ConditionInjectionModule, Params]:
    """The network of the original's file, with `settle(path, leaf)` in place of each parameter.

    Sizes are those of a config.json beside the file, or the released ones, with as many queries as the file has.
    Raises UserError as `load_model` does.
    """
    tensors = read_torch([path])
    model = ConditionInjectionModule(_config_beside(path, tensors))
    return model, fill(tensors, model, settle, path)


def _config_beside(path: Path, tensors: Mapping[str, Any]) -> CIMConfig:
    file = path.parent / CONFIG_FILE
    if file.exists():
        values = read_json_object(file)
        with errors_in_file(file):
            return config_from_json(values)
    config = CIMConfig.paper()
    shape = tensors["latents"].shape if "latents" in tensors else ()
    with errors_in_file(path):
        return dataclasses.replace(config, num_queries=shape[1]) if len(shape) == 3 else config
