"""CLIP: transformers' tensor names and config.json."""

from collections.abc import Mapping
from typing import Any, TypeVar

from mtv_jax.models.clip import CLIPConfig, TextConfig, VisionConfig
from mtv_jax.models.clip.transformer import TransformerConfig
from mtv_jax.weights.json_config import TRANSFORMERS_4_HARMLESS, read_fields
from mtv_jax.weights.rules import CONV2D, LINEAR, Rule, linear, norm

_Config = TypeVar("_Config", bound=TransformerConfig)


def _blocks(tower: str, ours: str) -> tuple[Rule, ...]:
    layer = f"{tower}.encoder.layers.{{layer}}."
    return (
        *(r for n in "qkv" for r in linear(f"{layer}self_attn.{n}_proj", f"{ours}/blocks/attention/{n}")),
        *linear(f"{layer}self_attn.out_proj", f"{ours}/blocks/attention/out"),
        *norm(f"{layer}layer_norm1", f"{ours}/blocks/attention_norm"),
        *linear(f"{layer}mlp.fc1", f"{ours}/blocks/mlp/up"),
        *linear(f"{layer}mlp.fc2", f"{ours}/blocks/mlp/down"),
        *norm(f"{layer}layer_norm2", f"{ours}/blocks/mlp_norm"),
    )


def resblocks(tower: str, ours: str) -> tuple[Rule, ...]:
    """The rules of a transformer's layers by the names of OpenAI's code and of OpenCLIP."""
    layer = f"{tower}transformer.resblocks.{{layer}}."
    path = f"{ours}/blocks/"
    kernels, biases = (tuple(f"{path}attention/{n}/{leaf}" for n in "qkv") for leaf in ("kernel", "bias"))
    return (
        Rule(f"{layer}attn.in_proj_weight", kernels, LINEAR),
        Rule(f"{layer}attn.in_proj_bias", biases),
        *linear(f"{layer}attn.out_proj", f"{path}attention/out"),
        *norm(f"{layer}ln_1", f"{path}attention_norm"),
        *linear(f"{layer}mlp.c_fc", f"{path}mlp/up"),
        *linear(f"{layer}mlp.c_proj", f"{path}mlp/down"),
        *norm(f"{layer}ln_2", f"{path}mlp_norm"),
    )


RULES = (
    Rule("vision_model.embeddings.class_embedding", "vision/class_embedding"),
    Rule("vision_model.embeddings.patch_embedding.weight", "vision/patch_embedding/kernel", CONV2D),
    Rule("vision_model.embeddings.position_embedding.weight", "vision/position_embedding"),
    *norm("vision_model.pre_layrnorm", "vision/pre_norm"),
    *_blocks("vision_model", "vision"),
    *norm("vision_model.post_layernorm", "vision/post_norm"),
    Rule("text_model.embeddings.token_embedding.weight", "text/token_embedding"),
    Rule("text_model.embeddings.position_embedding.weight", "text/position_embedding"),
    *_blocks("text_model", "text"),
    *norm("text_model.final_layer_norm", "text/final_norm"),
    Rule("visual_projection.weight", "vision_projection/kernel", LINEAR),
    Rule("text_projection.weight", "text_projection/kernel", LINEAR),
    Rule("logit_scale", "logit_scale"),
)

IGNORED = (r"(text|vision)_model\.embeddings\.position_ids",)
"""The numbers 0, 1, 2 ..., which older versions of transformers stored."""

_TRANSFORMER = {
    name: name
    for name in [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "layer_norm_eps",
    ]
}
_VISION = _TRANSFORMER | {name: name for name in ("image_size", "patch_size")}
TEXT_FIELDS = _TRANSFORMER | {
    name: name for name in ("vocab_size", "max_position_embeddings", "eos_token_id")
}
_WITHOUT_END = 2
"""The `eos_token_id` of configs that were written before transformers used it."""
_DEFAULT_END = 49407
"""The `eos_token_id` that transformers assumes if there is none."""
_HARMLESS = TRANSFORMERS_4_HARMLESS | {"projection_dim"}
_OUTER_HARMLESS = _HARMLESS | {
    "logit_scale_init_value",
    *(f"{tower}_config{form}" for tower in ("text", "vision") for form in ("", "_dict")),
}


def config_from_json(json: Mapping[str, Any]) -> CLIPConfig:
    """The config of transformers' `clip` config.json. Raises UserError for unsupported options."""
    outer = read_fields(
        json, {"projection_dim": "projection_dim"}, harmless=_OUTER_HARMLESS, origin="clip config.json"
    )
    base = CLIPConfig.vit_b32()
    vision = _tower(json, "vision", base.vision, _VISION, {"num_channels": 3})
    text = _tower(json, "text", base.text, TEXT_FIELDS, {})
    return CLIPConfig(vision=vision, text=text, **{"projection_dim": base.projection_dim, **outer})


def _tower(
    json: Mapping[str, Any],
    tower: str,
    base: _Config,
    fields: Mapping[str, str],
    fixed: Mapping[str, Any],
) -> _Config:
    """The config of a tower. If transformers 4 stored it twice, its `_dict` counts, as there."""
    name = f"{tower}_config"
    section = json.get(f"{name}_dict")
    section = (json.get(name) or {}) if section is None else section
    return read_tower(section, base, fields, fixed=fixed, origin=f"clip config.json: {name}")


def read_tower(
    section: Mapping[str, Any],
    base: _Config,
    fields: Mapping[str, str],
    *,
    fixed: Mapping[str, Any] | None = None,
    origin: str,
) -> _Config:
    """The config of one tower's own JSON; what it lacks is as in `base`, or as transformers assumes."""
    values = {field: getattr(base, field) for field in fields.values()}
    if "eos_token_id" in values:
        values["eos_token_id"] = _DEFAULT_END
    values |= read_fields(section, fields, fixed=fixed, harmless=_HARMLESS, origin=origin)
    if values.get("eos_token_id") == _WITHOUT_END:
        values["eos_token_id"] = None
    return type(base)(**values)


def config_to_json(config: CLIPConfig) -> dict[str, Any]:
    """transformers' config.json of `config`."""
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.projection_dim,
        "vision_config": tower_json(config.vision, _VISION, "clip_vision_model", config.projection_dim),
        "text_config": tower_json(config.text, TEXT_FIELDS, "clip_text_model", config.projection_dim),
    }


def tower_json(
    config: VisionConfig | TextConfig, fields: Mapping[str, str], model_type: str, projection: int
) -> dict[str, Any]:
    """The JSON of one tower."""
    values = {key: getattr(config, field) for key, field in fields.items()}
    if values.get("eos_token_id", "") is None:
        values["eos_token_id"] = _WITHOUT_END
    return {"model_type": model_type, "projection_dim": projection, **values}
