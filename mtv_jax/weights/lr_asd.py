"""LR-ASD: the tensor names of the checkpoints of Junhua-Liao/LR-ASD."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.lr_asd import LRASD, LRASDConfig
from mtv_jax.models.lr_asd.config import BLOCKS
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.placement import place
from mtv_jax.weights.pretrained import fill
from mtv_jax.weights.rules import CONV1D, CONV2D, CONV3D, LINEAR, Layout, Rule, batch_norm, linear
from mtv_jax.weights.torch_files import read_torch

CLASS_NAME = "LRASD"
"""Class name in config.json."""
_FIELDS = {field.name: field.name for field in dataclasses.fields(LRASDConfig)}


def _encoder(key: str, across: str, path: str, layout: Layout) -> tuple[Rule, ...]:
    """The rules of an encoder, whose convolutions are named after space (s), cepstra (m) and time (t)."""
    rules: list[Rule] = []
    for theirs, ours in ((across, "across"), ("t", "time")):
        block = f"model.{key}.block{{i}}.{theirs}_"
        rules.append(Rule(f"{block}{{j}}.weight", f"{path}/block_{{i}}/{ours}_{{j}}/kernel", layout))
        rules += batch_norm(f"{block}norm_{{j}}", f"{path}/block_{{i}}/{ours}_{{j}}_norm")
    return tuple(rules)


def _gate(key: str, path: str) -> tuple[Rule, ...]:
    weight = Rule(f"model.{key}.attention.weight", f"{path}/attention/kernel", CONV1D)
    return weight, *batch_norm(f"model.{key}.bn", f"{path}/norm")


def _gru(name: str) -> tuple[Rule, ...]:
    key = f"model.detector.gru_{name}."
    return (
        Rule(f"{key}weight_ih_l0", f"{name}/input/kernel", LINEAR),
        Rule(f"{key}bias_ih_l0", f"{name}/input/bias"),
        Rule(f"{key}weight_hh_l0", f"{name}/kernel", LINEAR),
        Rule(f"{key}bias_hh_l0", f"{name}/bias"),
    )


RULES = (
    *_encoder("visualEncoder", "s", "visual", CONV3D),
    *_encoder("audioEncoder", "m", "audio", CONV2D),
    *_gate("fusion", "fusion"),
    *_gru("forward"),
    *_gru("backward"),
    *_gate("detector.attention", "detector"),
    *linear("lossAV.FC", "head"),
)

IGNORED = (r".*\.num_batches_tracked", r"lossV\.FC\.(weight|bias)")
"""Counters of the training, and the second loss, of pictures alone."""


def config_from_json(json: Mapping[str, Any]) -> LRASDConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    origin = f"{CLASS_NAME} config.json"
    return LRASDConfig(
        **read_fields(json, _FIELDS, harmless=DIFFUSERS_HARMLESS, required=_FIELDS, origin=origin)
    )


def config_to_json(config: LRASDConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    return {"_class_name": CLASS_NAME, "widths": list(config.widths)}


def load_lr_asd(path: Path) -> tuple[LRASD, Params]:
    """The network from a checkpoint of the original, such as `finetuning_TalkSet.model`; its sizes are the tensors'.

    Raises UserError for a file that is none, and as `load_model` does.
    """
    tensors = read_torch([path])
    keys = [f"model.visualEncoder.block{number}.s_2.weight" for number in range(1, BLOCKS + 1)]
    missing = [key for key in keys if key not in tensors]
    if missing:
        raise UserError(f"{path}: no checkpoint of LR-ASD, since it has no tensor {missing[0]}")
    model = LRASD(LRASDConfig(tuple(tensors[key].shape[0] for key in keys)))
    return model, fill(tensors, model, partial(place, dtype=jnp.float32, mesh=None), path)
