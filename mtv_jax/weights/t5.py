"""T5 and UMT5 encoders: transformers' tensor names and config.json."""

from collections.abc import Mapping
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.models.t5 import T5Config
from mtv_jax.weights.json_config import TRANSFORMERS_HARMLESS, read_fields
from mtv_jax.weights.rules import LINEAR, Rule

_BLOCK = "encoder.block.{layer}.layer."

RULES = (
    Rule("shared.weight", "embedding"),
    *(Rule(f"{_BLOCK}0.SelfAttention.{n}.weight", f"blocks/attention/{n}/kernel", LINEAR) for n in "qkvo"),
    Rule(f"{_BLOCK}0.layer_norm.weight", "blocks/attention_norm/scale"),
    Rule(f"{_BLOCK}1.DenseReluDense.wi_0.weight", "blocks/mlp/gate/kernel", LINEAR),
    Rule(f"{_BLOCK}1.DenseReluDense.wi_1.weight", "blocks/mlp/up/kernel", LINEAR),
    Rule(f"{_BLOCK}1.DenseReluDense.wo.weight", "blocks/mlp/down/kernel", LINEAR),
    Rule(f"{_BLOCK}1.layer_norm.weight", "blocks/mlp_norm/scale"),
    Rule("encoder.final_layer_norm.weight", "final_norm/scale"),
    # T5 has one table of biases, in its first layer; UMT5 one in each.
    Rule("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "relative_bias"),
    Rule(f"{_BLOCK}0.SelfAttention.relative_attention_bias.weight", "blocks/attention/relative_bias"),
)

ALIASES = ((r"^encoder\.embed_tokens\.weight$", "shared.weight"),)
IGNORED = (r"decoder\..*", r"lm_head\.weight")
"""Tensors of a full T5 checkpoint that are not part of the encoder."""

_FIELDS = {
    name: name
    for name in [
        "vocab_size",
        "d_model",
        "d_kv",
        "d_ff",
        "num_layers",
        "num_heads",
        "relative_attention_num_buckets",
        "relative_attention_max_distance",
        "layer_norm_epsilon",
    ]
}
_REQUIRED = tuple(_FIELDS)[:6]
_HARMLESS = TRANSFORMERS_HARMLESS | {
    "classifier_dropout",
    "n_positions",
    "num_decoder_layers",
    "scalable_attention",
    "scale_decoder_outputs",
}
_FIXED = {"feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu_new", "is_gated_act": True}
_FAMILIES = {"t5": ("T5EncoderModel", False), "umt5": ("UMT5EncoderModel", True)}


def config_from_json(json: Mapping[str, Any]) -> T5Config:
    """The config of transformers' `t5` or `umt5` config.json. Raises UserError for unsupported options."""
    family = json.get("model_type")
    if family not in _FAMILIES:
        raise UserError(f"config.json: model_type {family!r} is not supported (t5 or umt5)")
    if family == "t5" and json.get("feed_forward_proj", "relu") == "relu":
        raise UserError("t5 config.json: feed_forward_proj relu (T5 1.0) is not supported; use T5 v1.1")
    values = read_fields(
        json, _FIELDS, fixed=_FIXED, harmless=_HARMLESS, required=_REQUIRED, origin=f"{family} config.json"
    )
    return T5Config(**values, relative_bias_per_layer=_FAMILIES[family][1])


def config_to_json(config: T5Config) -> dict[str, Any]:
    """transformers' config.json of `config`."""
    family = "umt5" if config.relative_bias_per_layer else "t5"
    return {
        "architectures": [_FAMILIES[family][0]],
        "model_type": family,
        **{key: getattr(config, field) for key, field in _FIELDS.items()},
        **_FIXED,
        "is_encoder_decoder": False,
        "tie_word_embeddings": False,
    }
