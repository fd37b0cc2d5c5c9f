"""BEATs: the tensor names of Microsoft's checkpoints and their stored options."""

from collections.abc import Mapping
from typing import Any

from mtv_jax.models.beats import BEATsConfig, FbankConfig
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.rules import CONV1D, CONV2D, Rule, linear, norm

_LAYER = "encoder.layers.{layer}."


RULES = (
    *linear("patch_embedding", "patch_embedding", CONV2D),
    *norm("layer_norm", "patch_norm"),
    *linear("post_extract_proj", "projection"),
    Rule("encoder.pos_conv.0.weight_g", "position/weight_g", CONV1D),
    Rule("encoder.pos_conv.0.weight_v", "position/weight_v", CONV1D),
    Rule("encoder.pos_conv.0.bias", "position/bias"),
    *norm("encoder.layer_norm", "encoder_norm"),
    Rule("encoder.layers.0.self_attn.relative_attention_bias.weight", "relative_bias"),
    *(r for n in "qkv" for r in linear(f"{_LAYER}self_attn.{n}_proj", f"blocks/attention/{n}")),
    *linear(f"{_LAYER}self_attn.out_proj", "blocks/attention/out"),
    *linear(f"{_LAYER}self_attn.grep_linear", "blocks/attention/gate"),
    Rule(f"{_LAYER}self_attn.grep_a", "blocks/attention/gate_weight"),
    *norm(f"{_LAYER}self_attn_layer_norm", "blocks/attention_norm"),
    *linear(f"{_LAYER}fc1", "blocks/mlp/up"),
    *linear(f"{_LAYER}fc2", "blocks/mlp/down"),
    *norm(f"{_LAYER}final_layer_norm", "blocks/mlp_norm"),
    *linear("predictor", "predictor"),
)

ALIASES = (
    # Every layer's entry is the table of the first.
    (r"^(encoder\.layers\.)\d+(\.self_attn\.relative_attention_bias\.weight)$", r"\g<1>0\2"),
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
)
IGNORED: tuple[str, ...] = ()

_FIELDS = {
    name: name
    for name in [
        "embed_dim",
        "encoder_embed_dim",
        "encoder_layers",
        "encoder_attention_heads",
        "encoder_ffn_embed_dim",
        "input_patch_size",
        "conv_bias",
        "conv_pos",
        "conv_pos_groups",
        "num_buckets",
        "max_distance",
        "deep_norm",
    ]
}
_FIXED = {
    "model_type": "beats",
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
}
_HARMLESS = frozenset(
    [
        *DIFFUSERS_HARMLESS,
        "activation_dropout",
        "attention_dropout",
        "dropout",
        "dropout_input",
        "encoder_layerdrop",
        "layer_wise_gradient_decay_ratio",
        "predictor_dropout",
    ]
)
_FBANK_FIELDS = {
    "fbank_mean": "mean",
    "fbank_std": "std",
    **{
        name: name
        for name in [
            "num_mel_bins",
            "sample_frequency",
            "frame_length",
            "frame_shift",
            "preemphasis_coefficient",
            "low_freq",
            "high_freq",
        ]
    },
}
_FBANK_FIXED = {
    "dither": 0.0,
    "window_type": "povey",
    "remove_dc_offset": True,
    "snip_edges": True,
    "round_to_power_of_two": True,
    "use_log_fbank": True,
    "use_power": True,
    "use_energy": False,
    "vtln_warp": 1.0,
}


def config_from_json(json: Mapping[str, Any]) -> BEATsConfig:
    """The config of a checkpoint's options (`cfg`). Raises UserError for unsupported options."""
    classifier = {"finetuned_model", "predictor_class"}
    options = {key: value for key, value in json.items() if key not in classifier}
    values = read_fields(options, _FIELDS, fixed=_FIXED, harmless=_HARMLESS, origin="BEATs config")
    classes = json.get("predictor_class") if json.get("finetuned_model") else None
    return BEATsConfig(**values, num_classes=classes)


def config_to_json(config: BEATsConfig) -> dict[str, Any]:
    """The options of `config` under the checkpoint's names, and a class name that identifies it."""
    options: dict[str, Any] = {"_class_name": "BEATs"}
    options |= {key: getattr(config, field) for key, field in _FIELDS.items()}
    options |= _FIXED | {"finetuned_model": config.num_classes is not None}
    return options if config.num_classes is None else options | {"predictor_class": config.num_classes}


def fbank_config_from_json(json: Mapping[str, Any]) -> FbankConfig:
    """The filter bank config from Kaldi's option names (with `fbank_mean`, `fbank_std`)."""
    # The raw energy and HTK options only matter with `use_energy`.
    harmless = ("energy_floor", "htk_compat", "raw_energy")
    values = read_fields(
        json, _FBANK_FIELDS, fixed=_FBANK_FIXED, harmless=harmless, origin="filter bank config"
    )
    return FbankConfig(**values)
