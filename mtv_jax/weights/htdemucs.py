"""HTDemucs: the tensor names and options of demucs' checkpoints.

The options in config.json are demucs' keyword arguments. `segment` (seconds) is written as a fraction, in the form of
demucs' safetensors files.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.models.htdemucs import HTDemucsConfig
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.rules import CONV1D, CONV2D, LINEAR, Rule, linear, norm

CLASS_NAME = "HTDemucs"
"""Class name in config.json, and of demucs' class."""


def _dilated(key: str, path: str) -> tuple[Rule, ...]:
    """The rules of the residual branches of a layer; their modules are numbered in the order of evaluation."""
    return (
        *linear(f"{key}.layers.{{j}}.0", f"{path}/narrow_{{j}}", CONV1D),
        *norm(f"{key}.layers.{{j}}.1", f"{path}/narrow_norm_{{j}}"),
        *linear(f"{key}.layers.{{j}}.3", f"{path}/wide_{{j}}", CONV1D),
        *norm(f"{key}.layers.{{j}}.4", f"{path}/wide_norm_{{j}}"),
        Rule(f"{key}.layers.{{j}}.6.scale", f"{path}/scale_{{j}}"),
    )


def _unet(name: str, first: str, layout: Any) -> tuple[Rule, ...]:
    """The rules of an encoder or decoder, whose layers have a convolution `first` that changes the resolution."""
    key, path = f"{name}.{{i}}", f"{name}_{{i}}"
    return (
        *linear(f"{key}.{first}", f"{path}/{first}", layout),
        *linear(f"{key}.rewrite", f"{path}/rewrite", layout),
        *_dilated(f"{key}.dconv", f"{path}/dconv"),
    )


def _transformer(name: str) -> tuple[Rule, ...]:
    """The rules of one branch of the transformer."""
    key, path = f"crosstransformer.{name}.{{i}}", f"transformer/{name}_{{i}}"
    rules: list[Rule] = []
    for attention in ("self_attn", "cross_attn"):
        within = f"{path}/{attention}"
        kernels, biases = (tuple(f"{within}/{n}/{leaf}" for n in "qkv") for leaf in ("kernel", "bias"))
        rules += [
            Rule(f"{key}.{attention}.in_proj_weight", kernels, LINEAR),
            Rule(f"{key}.{attention}.in_proj_bias", biases),
            *linear(f"{key}.{attention}.out_proj", f"{within}/out"),
        ]
    for each in ("norm1", "norm2", "norm3", "norm_out"):
        rules += norm(f"{key}.{each}", f"{path}/{each}")
    for each in ("gamma_1", "gamma_2"):
        rules.append(Rule(f"{key}.{each}.scale", f"{path}/{each}"))
    rules += linear(f"{key}.linear1", f"{path}/mlp/up")
    rules += linear(f"{key}.linear2", f"{path}/mlp/down")
    return tuple(rules)


RULES = (
    *_unet("encoder", "conv", CONV2D),
    *_unet("tencoder", "conv", CONV1D),
    *_unet("decoder", "conv_tr", CONV2D),
    *_unet("tdecoder", "conv_tr", CONV1D),
    Rule("freq_emb.embedding.weight", "frequency_embedding"),
    *(
        rule
        for name in ("channel_upsampler", "channel_downsampler")
        for branch in ("", "_t")
        for rule in linear(f"{name}{branch}", f"{name}{branch}", CONV1D)
    ),
    *norm("crosstransformer.norm_in", "transformer/norm_in"),
    *norm("crosstransformer.norm_in_t", "transformer/norm_in_t"),
    *_transformer("layers"),
    *_transformer("layers_t"),
)

_FIELDS = {
    name: name
    for name in [
        "sources",
        "audio_channels",
        "channels",
        "nfft",
        "depth",
        "freq_emb",
        "emb_scale",
        "dconv_mode",
        "dconv_depth",
        "dconv_comp",
        "bottom_channels",
        "t_layers",
        "t_hidden_scale",
        "t_heads",
        "samplerate",
    ]
}
_FIXED = {
    "channels_time": None,
    "growth": 2,
    "cac": True,
    "rewrite": True,
    "multi_freqs": None,
    "kernel_size": 8,
    "stride": 4,
    "context": 1,
    "context_enc": 0,
    "t_emb": "sin",
    "t_norm_in": True,
    "t_group_norm": False,
    "t_norm_first": True,
    "t_norm_out": True,
    "t_max_period": 10_000.0,
    "t_layer_scale": True,
    "t_gelu": True,
    "t_weight_pos_embed": 1.0,
    "t_sin_random_shift": 0,
    "t_sparse_self_attn": False,
    "t_sparse_cross_attn": False,
    "t_cross_first": False,
    "use_train_segment": True,
}
_HARMLESS = frozenset(
    [
        *DIFFUSERS_HARMLESS,
        # Of initialisation and training.
        "dconv_init",
        "emb_smooth",
        "rescale",
        "t_dropout",
        "t_lr",
        "t_weight_decay",
        # Of options that are not supported.
        "end_iters",
        "multi_freqs_depth",
        "norm_groups",
        "t_auto_sparsity",
        "t_cape_augment",
        "t_cape_glob_loc_scale",
        "t_cape_mean_normalize",
        "t_global_window",
        "t_mask_random_seed",
        "t_mask_type",
        "t_max_positions",
        "t_norm_in_group",
        "t_sparse_attn_window",
        "t_sparsity",
        "time_stride",
        "wiener_iters",
        "wiener_residual",
    ]
)


def config_from_json(json: Mapping[str, Any]) -> HTDemucsConfig:
    """The config of demucs' keyword arguments. Raises UserError for unsupported options."""
    options = dict(json)
    for name in ("bottom_channels", "multi_freqs"):
        options[name] = options.get(name) or None
    segment, first_norm = options.pop("segment", 10), options.pop("norm_starts", 4)
    values = read_fields(
        options,
        _FIELDS,
        fixed=_FIXED,
        harmless=_HARMLESS,
        required=("sources",),
        origin=f"{CLASS_NAME} options",
    )
    config = HTDemucsConfig(**values)
    if not (isinstance(first_norm, int) and first_norm >= config.depth):
        raise UserError(
            f"{CLASS_NAME} options: norm_starts = {first_norm!r} is not supported (only {config.depth} or more)"
        )
    return HTDemucsConfig(**values, segment_samples=int(_seconds(segment) * config.samplerate))


def config_to_json(config: HTDemucsConfig) -> dict[str, Any]:
    """demucs' keyword arguments of `config`, and a class name that identifies it."""
    values = {key: getattr(config, field) for key, field in _FIELDS.items()}
    return {
        "_class_name": CLASS_NAME,
        **values,
        "sources": list(config.sources),
        "bottom_channels": config.bottom_channels or 0,
        "segment": {
            "_type": "fraction",
            "numerator": config.segment_samples,
            "denominator": config.samplerate,
        },
    }


def _seconds(segment: Any) -> int | float | Fraction:
    """A segment's length: a number, or a fraction as demucs writes it to JSON."""
    if isinstance(segment, Mapping):
        segment = Fraction(segment["numerator"], segment["denominator"])
    number = isinstance(segment, (int, float, Fraction)) and not isinstance(segment, bool)
    if not number or not 0 < segment < 1e6:
        raise UserError(f"{CLASS_NAME} options: segment = {segment!r}: must be seconds above 0")
    return segment
