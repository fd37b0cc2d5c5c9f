"""Audiobox-aesthetics: the tensor names and config.json of facebook/audiobox-aesthetics."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object
from mtv_jax.models.audiobox import AXES, Audiobox, AudioboxConfig
from mtv_jax.models.registry import replace_fields
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.placement import place
from mtv_jax.weights.pretrained import fill
from mtv_jax.weights.rules import CONV1D, Rule, linear, norm
from mtv_jax.weights.tensor_files import read_tensors

_ENCODER = "wavlm_model."
_LAYER = f"{_ENCODER}encoder.layers.{{layer}}."

RULES = (
    *linear(f"{_ENCODER}feature_extractor.conv_layers.{{i}}.0", "features/conv_{i}", CONV1D),
    *norm(f"{_ENCODER}feature_extractor.conv_layers.{{i}}.2", "features/conv_norm_{i}"),
    Rule(f"{_ENCODER}mask_emb", "features/mask_embedding"),
    *norm(f"{_ENCODER}layer_norm", "feature_norm"),
    *linear(f"{_ENCODER}post_extract_proj", "projection"),
    Rule(f"{_ENCODER}encoder.pos_conv.0.weight_g", "position/weight_g", CONV1D),
    Rule(f"{_ENCODER}encoder.pos_conv.0.weight_v", "position/weight_v", CONV1D),
    Rule(f"{_ENCODER}encoder.pos_conv.0.bias", "position/bias"),
    *norm(f"{_ENCODER}encoder.layer_norm", "encoder_norm"),
    Rule(f"{_ENCODER}encoder.layers.0.self_attn.relative_attention_bias.weight", "relative_bias"),
    *(r for n in "qkv" for r in linear(f"{_LAYER}self_attn.{n}_proj", f"blocks/attention/{n}")),
    *linear(f"{_LAYER}self_attn.out_proj", "blocks/attention/out"),
    *linear(f"{_LAYER}self_attn.grep_linear", "blocks/attention/gate"),
    Rule(f"{_LAYER}self_attn.grep_a", "blocks/attention/gate_weight"),
    *norm(f"{_LAYER}self_attn_layer_norm", "blocks/attention_norm"),
    *linear(f"{_LAYER}fc1", "blocks/mlp/up"),
    *linear(f"{_LAYER}fc2", "blocks/mlp/down"),
    *norm(f"{_LAYER}final_layer_norm", "blocks/mlp_norm"),
    *(Rule(f"layer_weights.{axis}", f"head_{axis}/layer_weights") for axis in AXES),
    *(r for axis in AXES for r in linear(f"proj_layer.{axis}.{{i}}", f"head_{axis}/linear_{{i}}")),
    *(r for axis in AXES for r in norm(f"proj_layer.{axis}.{{i}}", f"head_{axis}/norm_{{i}}")),
)

ALIASES = (
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
)

_FIELDS = {name: name for name in ("proj_num_layer", "proj_ln", "proj_dropout", "normalize_embed")}
_FIXED = {"proj_act_fn": "gelu", "use_weighted_layer_sum": True, "output_dim": 1}
_OWN = ("wavlm", "num_buckets", "max_distance")
"""Keys of other sizes than WavLM base's, which the original's config.json does not have."""
_HARMLESS = (*DIFFUSERS_HARMLESS, "precision", "freeze_encoder", "target_transform", "nth_layer", *_OWN)


def config_from_json(json: Mapping[str, Any]) -> AudioboxConfig:
    """The config of a config.json. Raises UserError for unsupported options, or without the ratings' units."""
    origin = "Audiobox config.json"
    values = read_fields(
        json, _FIELDS, fixed=_FIXED, harmless=_HARMLESS, required=("target_transform",), origin=origin
    )
    units = json["target_transform"]
    for name, key in (("means", "mean"), ("stds", "std")):
        values[name] = tuple(float(units[axis][key]) for axis in AXES)
    values |= {key: json[key] for key in _OWN[1:] if key in json}
    config = AudioboxConfig(**values)
    if "wavlm" in json:
        encoder = replace_fields(config.encoder, json["wavlm"], "wavlm")
        config = dataclasses.replace(config, encoder=encoder)
    layers = config.encoder.num_hidden_layers + 1
    if json.get("nth_layer", layers) != layers:
        raise UserError(
            f"{origin}: nth_layer = {json['nth_layer']} is not supported (only {layers}, all layers)"
        )
    return config


def config_to_json(config: AudioboxConfig) -> dict[str, Any]:
    """The config.json of `config`: the original's keys, a class name, and sizes where they differ from WavLM base's."""
    units = zip(AXES, config.means, config.stds, strict=True)
    json: dict[str, Any] = {
        "_class_name": "AesMultiOutput",
        **{key: getattr(config, field) for key, field in _FIELDS.items()},
        **_FIXED,
        "nth_layer": config.encoder.num_hidden_layers + 1,
        "target_transform": {axis: {"mean": mean, "std": std} for axis, mean, std in units},
    }
    base = AudioboxConfig.base()
    json |= {key: getattr(config, key) for key in _OWN[1:] if getattr(config, key) != getattr(base, key)}
    if config.encoder != base.encoder:
        values = dataclasses.asdict(config.encoder).items()
        json["wavlm"] = {key: list(value) if isinstance(value, tuple) else value for key, value in values}
    return json


def load_audiobox(folder: Path) -> tuple[Audiobox, Params]:
    """The network in a folder as facebook/audiobox-aesthetics has it, whose config.json names no class.

    Raises UserError as `load_model` does.
    """
    values = read_json_object(folder / "config.json")
    with errors_in_file(folder / "config.json"):
        model = Audiobox(config_from_json(values))
    settle = partial(place, dtype=jnp.float32, mesh=None)
    return model, fill(read_tensors(folder), model, settle, folder)
