"""CLAP: transformers' tensor names and config.json (`ClapModel`)."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object
from mtv_jax.models.clap import ClapAudioConfig, ClapConfig, ClapFeatureConfig, ClapTextConfig
from mtv_jax.weights import clap_text
from mtv_jax.weights.json_config import read_fields
from mtv_jax.weights.rules import CONV2D, LINEAR, Rule, batch_norm, linear, norm

_ENCODER = "audio_model.audio_encoder."
LAYER = f"{_ENCODER}layers.{{stage}}.blocks.{{block}}."
OUR_LAYER = "audio/stage_{stage}/layer_{block}/"

QKV = tuple(
    rule
    for name in ("query", "key", "value")
    for rule in linear(f"{LAYER}attention.self.{name}", f"{OUR_LAYER}attention/{name[0]}")
)
"""The rules of queries, keys and values in the audio half, which are one tensor in LAION's files."""


def _gate(name: str, first: int) -> tuple[Rule, ...]:
    """The rules of a gate, a sequence of layers of which two have weights, each with a norm."""
    key, path = f"{_ENCODER}patch_embed.fusion_model.{name}_att.", f"audio/patches/fusion/{name}_"
    layers = ((first, "down"), (first + 3, "up"))
    return tuple(
        rule
        for number, ours in layers
        for rule in (
            *linear(f"{key}{number}", f"{path}{ours}", CONV2D),
            *batch_norm(f"{key}{number + 1}", f"{path}{ours}_norm"),
        )
    )


_AUDIO = (
    *batch_norm(f"{_ENCODER}batch_norm", "audio/batch_norm"),
    *linear(f"{_ENCODER}patch_embed.proj", "audio/patches/whole", CONV2D),
    *linear(f"{_ENCODER}patch_embed.mel_conv2d", "audio/patches/crops", CONV2D),
    *_gate("local", 0),
    *_gate("global", 1),
    *norm(f"{_ENCODER}patch_embed.norm", "audio/patches/norm"),
    *norm(f"{LAYER}layernorm_before", f"{OUR_LAYER}attention_norm"),
    *QKV,
    Rule(f"{LAYER}attention.self.relative_position_bias_table", f"{OUR_LAYER}attention/relative_bias"),
    *linear(f"{LAYER}attention.output.dense", f"{OUR_LAYER}attention/out"),
    *norm(f"{LAYER}layernorm_after", f"{OUR_LAYER}mlp_norm"),
    *linear(f"{LAYER}intermediate.dense", f"{OUR_LAYER}mlp/up"),
    *linear(f"{LAYER}output.dense", f"{OUR_LAYER}mlp/down"),
    *norm(f"{_ENCODER}layers.{{stage}}.downsample.norm", "audio/stage_{stage}/merging/norm"),
    Rule(
        f"{_ENCODER}layers.{{stage}}.downsample.reduction.weight",
        "audio/stage_{stage}/merging/reduction/kernel",
        LINEAR,
    ),
    *norm(f"{_ENCODER}norm", "audio/norm"),
    *clap_text.projection("audio_projection"),
)

RULES = (
    *clap_text.RULES,
    *_AUDIO,
    Rule("logit_scale_a", "logit_scale_a"),
    Rule("logit_scale_t", "logit_scale_t"),
)

IGNORED = (*clap_text.IGNORED, r".*\.relative_position_index", r".*\.num_batches_tracked")
"""Numbers that follow from the sizes, and counters of the training."""

_AUDIO_FIELDS = {
    name: name
    for name in [
        "spec_size",
        "num_mel_bins",
        "patch_size",
        "patch_embeds_hidden_size",
        "depths",
        "num_attention_heads",
        "window_size",
        "mlp_ratio",
        "layer_norm_eps",
        "enable_fusion",
        "aff_block_r",
    ]
}
_AUDIO_FIXED = {
    **clap_text.ACTIVATIONS,
    "enable_patch_layer_norm": True,
    "flatten_patch_embeds": True,
    "fusion_type": None,
    "patch_embed_input_channels": 1,
    "qkv_bias": True,
}
_HIDDEN = 768
_STRIDE = 4
"""Defaults of transformers for what has no field here."""
_AUDIO_HARMLESS = clap_text.HARMLESS | {
    "drop_path_rate",
    "num_classes",
    "num_hidden_layers",
    "projection_dim",
}
_SECTIONS = frozenset(f"{half}_config{form}" for half in ("text", "audio") for form in ("", "_dict"))
_OUTER_HARMLESS = (
    clap_text.HARMLESS
    | _SECTIONS
    | {
        "hidden_size",
        "logit_scale_init_value",
        "num_hidden_layers",
        "projection_dim",
    }
)


def config_from_json(json: Mapping[str, Any]) -> ClapConfig:
    """The config of transformers' `clap` config.json. Raises UserError for unsupported options."""
    fields = {"projection_dim": "projection_dim"}
    fixed = {"projection_hidden_act": clap_text.ACTIVATIONS["projection_hidden_act"]}
    width = read_fields(json, fields, fixed=fixed, harmless=_OUTER_HARMLESS, origin="clap config.json")
    # transformers gives both halves the outer width, or its default, whatever their own configs say.
    text = {**_section(json, "text"), "projection_dim": ClapTextConfig.projection_dim, **width}
    return ClapConfig(text=clap_text.config_from_json(text), audio=_audio(_section(json, "audio")))


def _section(json: Mapping[str, Any], half: str) -> Mapping[str, Any]:
    """The config of a half. If transformers 4 stored it twice, its `_dict` counts, as there."""
    section = json.get(f"{half}_config_dict") or json.get(f"{half}_config") or {}
    if not isinstance(section, Mapping):
        raise UserError(f"clap config.json: {half}_config must be an object")
    return section


def _audio(section: Mapping[str, Any]) -> ClapAudioConfig:
    origin = "clap config.json: audio_config"
    sizes = {"patch_size": ClapAudioConfig.patch_size, "patch_stride": _STRIDE} | {
        key: section[key] for key in ("patch_size", "patch_stride") if key in section
    }
    sides = {side for size in sizes.values() for side in (size if isinstance(size, list) else [size])}
    if len(sides) != 1:
        raise UserError(
            f"{origin}: patch_size and patch_stride must be one number, so that patches do not overlap"
        )
    values = {key: value for key, value in section.items() if key not in ("hidden_size", "patch_stride")}
    values["patch_size"] = sides.pop()
    config = ClapAudioConfig(
        **read_fields(values, _AUDIO_FIELDS, fixed=_AUDIO_FIXED, harmless=_AUDIO_HARMLESS, origin=origin)
    )
    if section.get("hidden_size", _HIDDEN) != config.widths[-1]:
        raise UserError(f"{origin}: hidden_size must be that of the last stage, {config.widths[-1]}")
    return config


def config_to_json(config: ClapConfig) -> dict[str, Any]:
    """transformers' config.json of `config`."""
    text = clap_text.config_to_json(config.text)
    shared = {key: text[key] for key in ("projection_dim", "projection_hidden_act")}
    audio = {key: getattr(config.audio, field) for key, field in _AUDIO_FIELDS.items()}
    lists = {key: list(value) for key, value in audio.items() if isinstance(value, tuple)}
    sizes = {"hidden_size": config.audio.widths[-1], "patch_stride": [config.audio.patch_size] * 2}
    return {
        "architectures": ["ClapModel"],
        "model_type": "clap",
        **shared,
        "text_config": {key: value for key, value in text.items() if key != "architectures"},
        "audio_config": {
            "model_type": "clap_audio_model",
            **_AUDIO_FIXED,
            **audio,
            **lists,
            **sizes,
            **shared,
        },
    }


PREPROCESSOR = "preprocessor_config.json"
"""Options of the spectrograms, as transformers' `ClapFeatureExtractor` writes them."""
_FEATURES = {field.name: field.name for field in fields(ClapFeatureConfig)}
_FEATURES_FIXED = {
    "feature_extractor_type": "ClapFeatureExtractor",
    "padding": "repeatpad",
    "padding_value": 0.0,
    "return_attention_mask": False,
    "top_db": None,
}
_FEATURES_HARMLESS = (
    "chunk_length_s",
    "n_fft",
    "nb_frequency_bins",
    "nb_max_frames",
    "nb_max_samples",
    "padding_side",
    "processor_class",
)


def load_feature_config(folder: Path, audio: ClapAudioConfig) -> ClapFeatureConfig:
    """The options of the spectrograms in a network's folder; without a file, the released ones.

    Raises UserError for unsupported options, and for those that do not fit the network.
    """
    truncation = "fusion" if audio.enable_fusion else "rand_trunc"
    path = folder / PREPROCESSOR
    if not path.exists():
        return ClapFeatureConfig(truncation=truncation)
    values = read_json_object(path)
    with errors_in_file(path):
        config = feature_config_from_json(values)
        needed = (truncation, audio.num_mel_bins)
        if (config.truncation, config.feature_size) != needed or config.frames > audio.max_frames:
            raise UserError(
                f"truncation {config.truncation}, {config.feature_size} bands and {config.frames} frames do not fit "
                f"the network, which takes {truncation}, {audio.num_mel_bins} and at most {audio.max_frames}"
            )
        return config


def feature_config_from_json(json: Mapping[str, Any]) -> ClapFeatureConfig:
    """The options of a `preprocessor_config.json`. Raises UserError for unsupported ones."""
    defaults = {
        "frequency_min": 0.0,
        "truncation": "fusion",
    }  # transformers', where ours are the released ones
    found = read_fields(
        json, _FEATURES, fixed=_FEATURES_FIXED, harmless=_FEATURES_HARMLESS, origin="ClapFeatureExtractor"
    )
    return ClapFeatureConfig(**{**defaults, **found})
