"""wav2vec 2.0: transformers' tensor names and config.json."""

from collections.abc import Mapping
from typing import Any

from mtv_jax.io.checks import check_number
from mtv_jax.models.wav2vec2 import Wav2Vec2Config
from mtv_jax.weights.json_config import TRANSFORMERS_HARMLESS, read_fields
from mtv_jax.weights.rules import CONV1D, Rule, linear, norm

_LAYER = "encoder.layers.{layer}."


RULES = (
    *linear("feature_extractor.conv_layers.{i}.conv", "conv_{i}", CONV1D),
    *norm("feature_extractor.conv_layers.{i}.layer_norm", "conv_norm_{i}"),
    *norm("feature_projection.layer_norm", "feature_norm"),
    *linear("feature_projection.projection", "feature_projection"),
    Rule("masked_spec_embed", "mask_embedding"),
    Rule("encoder.pos_conv_embed.conv.weight_g", "position/weight_g", CONV1D),
    Rule("encoder.pos_conv_embed.conv.weight_v", "position/weight_v", CONV1D),
    Rule("encoder.pos_conv_embed.conv.bias", "position/bias"),
    *norm("encoder.layer_norm", "encoder_norm"),
    *(r for n in "qkv" for r in linear(f"{_LAYER}attention.{n}_proj", f"blocks/attention/{n}")),
    *linear(f"{_LAYER}attention.out_proj", "blocks/attention/out"),
    *norm(f"{_LAYER}layer_norm", "blocks/attention_norm"),
    *linear(f"{_LAYER}feed_forward.intermediate_dense", "blocks/mlp/up"),
    *linear(f"{_LAYER}feed_forward.output_dense", "blocks/mlp/down"),
    *norm(f"{_LAYER}final_layer_norm", "blocks/mlp_norm"),
)

ALIASES = (
    (r"^wav2vec2\.", ""),  # the encoder inside a model with a head
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
)
IGNORED = (r"lm_head\..*", r"quantizer\..*", r"project_(q|hid)\..*")
"""Heads for recognition and pre-training."""

_FIELDS = {
    name: name
    for name in [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "conv_dim",
        "conv_kernel",
        "conv_stride",
        "conv_bias",
        "feat_extract_norm",
        "do_stable_layer_norm",
        "num_conv_pos_embeddings",
        "num_conv_pos_embedding_groups",
        "layer_norm_eps",
    ]
}
_FIXED = {
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "add_adapter": False,
    "adapter_attn_dim": None,
    "model_type": "wav2vec2",
}
_HARMLESS = TRANSFORMERS_HARMLESS | set(
    [
        "adapter_kernel_size",
        "adapter_stride",
        "apply_spec_augment",
        "classifier_proj_size",
        "codevector_dim",
        "contrastive_logits_temperature",
        "conv_pos_batch_norm",
        "ctc_loss_reduction",
        "ctc_zero_infinity",
        "diversity_loss_weight",
        "feat_extract_dropout",
        "feat_proj_dropout",
        "feat_quantizer_dropout",
        "final_dropout",
        "gradient_checkpointing",
        "hidden_dropout_prob",
        "mask_channel_length",
        "mask_channel_min_space",
        "mask_channel_other",
        "mask_channel_prob",
        "mask_channel_selection",
        "mask_feature_length",
        "mask_feature_min_masks",
        "mask_feature_prob",
        "mask_time_length",
        "mask_time_min_masks",
        "mask_time_min_space",
        "mask_time_other",
        "mask_time_prob",
        "mask_time_selection",
        "num_adapter_layers",
        "num_codevector_groups",
        "num_codevectors_per_group",
        "num_feat_extract_layers",
        "num_negatives",
        "output_hidden_size",
        "proj_codevector_dim",
        "tdnn_dilation",
        "tdnn_dim",
        "tdnn_kernel",
        "use_weighted_layer_sum",
        "xvector_output_dim",
    ]
)


def config_from_json(json: Mapping[str, Any]) -> Wav2Vec2Config:
    """The config of transformers' wav2vec2 config.json. Raises UserError for unsupported options."""
    values = read_fields(json, _FIELDS, fixed=_FIXED, harmless=_HARMLESS, origin="wav2vec2 config.json")
    # transformers has the embedding of masked frames if and only if training uses masking.
    shares = {"mask_time_prob": 0.05, "mask_feature_prob": 0.0}
    masks = any(check_number(key, json.get(key, default)) > 0 for key, default in shares.items())
    return Wav2Vec2Config(**values, mask_embedding=masks)


def config_to_json(config: Wav2Vec2Config) -> dict[str, Any]:
    """transformers' config.json of `config`."""
    values = {key: getattr(config, field) for key, field in _FIELDS.items()}
    return {
        "architectures": ["Wav2Vec2Model"],
        "model_type": "wav2vec2",
        **{key: list(value) if isinstance(value, tuple) else value for key, value in values.items()},
        "hidden_act": "gelu",
        "feat_extract_activation": "gelu",
        "mask_time_prob": 0.05 if config.mask_embedding else 0.0,
        "mask_feature_prob": 0.0,
    }
