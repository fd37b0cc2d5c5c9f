"""Stable Diffusion's UNet: tensor names and config.json of diffusers' UNet2DConditionModel."""

from collections.abc import Mapping
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.models.unet2d import UNet2DConfig
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.rules import CONV2D, LINEAR, Layout, Rule, linear, norm

CLASS_NAME = "UNet2DConditionModel"


def transformer_rules(theirs: str, ours: str, projection: Layout = LINEAR) -> tuple[Rule, ...]:
    """The rules of a transformer of a UNet, whose names are the same in diffusers and latent-diffusion."""
    there, here = f"{theirs}.transformer_blocks.{{layer}}", f"{ours}/blocks"
    attentions = ("attn1", "attn2")
    return (
        *norm(f"{theirs}.norm", f"{ours}/norm"),
        *linear(f"{theirs}.proj_in", f"{ours}/proj_in", projection),
        *linear(f"{theirs}.proj_out", f"{ours}/proj_out", projection),
        *(rule for i in (1, 2, 3) for rule in norm(f"{there}.norm{i}", f"{here}/norm{i}")),
        *(
            Rule(f"{there}.{attn}.to_{n}.weight", f"{here}/{attn}/to_{n}/kernel", LINEAR)
            for attn in attentions
            for n in "qkv"
        ),
        *(
            rule
            for attn in attentions
            for rule in linear(f"{there}.{attn}.to_out.0", f"{here}/{attn}/to_out")
        ),
        *linear(f"{there}.ff.net.0.proj", f"{here}/ff/up"),
        *linear(f"{there}.ff.net.2", f"{here}/ff/down"),
    )


def _block(theirs: str, ours: str) -> tuple[Rule, ...]:
    resnet, attention = theirs.format("resnets"), theirs.format("attentions")
    return (
        *norm(f"{resnet}.norm1", f"{ours}/res/in_norm"),
        *linear(f"{resnet}.conv1", f"{ours}/res/in_conv", CONV2D),
        *linear(f"{resnet}.time_emb_proj", f"{ours}/res/time_proj"),
        *norm(f"{resnet}.norm2", f"{ours}/res/out_norm"),
        *linear(f"{resnet}.conv2", f"{ours}/res/out_conv", CONV2D),
        *linear(f"{resnet}.conv_shortcut", f"{ours}/res/shortcut", CONV2D),
        *transformer_rules(attention, f"{ours}/spatial"),
    )


RULES: tuple[Rule, ...] = (
    *linear("conv_in", "conv_in", CONV2D),
    *linear("time_embedding.linear_1", "time_embedding/linear_1"),
    *linear("time_embedding.linear_2", "time_embedding/linear_2"),
    *_block("down_blocks.{{level}}.{}.{{block}}", "down_{level}_{block}"),
    *linear("down_blocks.{level}.downsamplers.0.conv", "downsample_{level}/conv", CONV2D),
    *_block("mid_block.{}.{{block}}", "middle_{block}"),
    *_block("up_blocks.{{level}}.{}.{{block}}", "up_{level}_{block}"),
    *linear("up_blocks.{level}.upsamplers.0.conv", "upsample_{level}/conv", CONV2D),
    *norm("conv_norm_out", "norm_out"),
    *linear("conv_out", "conv_out", CONV2D),
)

_FIELDS = {
    key: key
    for key in (
        "in_channels",
        "out_channels",
        "block_out_channels",
        "layers_per_block",
        "norm_num_groups",
        "norm_eps",
    )
} | {"cross_attention_dim": "text_embed_dim", "transformer_layers_per_block": "transformer_layers"}
_FIXED = {
    "act_fn": "silu",
    "addition_embed_type": None,
    "attention_type": "default",
    "center_input_sample": False,
    "class_embed_type": None,
    "class_embeddings_concat": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_norm": None,
    "downsample_padding": 1,
    "dropout": 0.0,
    "dual_cross_attention": False,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_only_cross_attention": None,
    "mid_block_scale_factor": 1,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "num_attention_heads": None,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False,
    "resnet_time_scale_shift": "default",
    "reverse_transformer_layers_per_block": None,
    "time_cond_proj_dim": None,
    "time_embedding_act_fn": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "use_linear_projection": True,
}
"""Settings that are fixed in our network; another value is an error."""
_ATTENTION = {"down_block_types": "CrossAttnDownBlock2D", "up_block_types": "CrossAttnUpBlock2D"}
_PLAIN = {"down_block_types": "DownBlock2D", "up_block_types": "UpBlock2D"}
_HARMLESS = (
    *DIFFUSERS_HARMLESS,
    *_ATTENTION,
    "attention_head_dim",
    "addition_embed_type_num_heads",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
    "sample_size",
    "upcast_attention",  # the softmax is float32 in any case
)
"""Read apart, or without influence."""
_REQUIRED = ("block_out_channels", "cross_attention_dim", "attention_head_dim", "use_linear_projection")


def config_from_json(values: Mapping[str, Any]) -> UNet2DConfig:
    """The config of a diffusers `config.json`. Raises UserError for unsupported settings."""
    origin = f"config.json of {CLASS_NAME}"
    fields = read_fields(values, _FIELDS, fixed=_FIXED, harmless=_HARMLESS, required=_REQUIRED, origin=origin)
    widths = fields["block_out_channels"]
    if not isinstance(widths, tuple) or not all(isinstance(width, int) for width in widths):
        raise UserError(f"{origin}: block_out_channels {widths!r}: must be a list of whole numbers")
    size: Any = values.get("sample_size") or 64
    sides: Any = size if isinstance(size, (list, tuple)) and len(size) == 2 else (size, size)
    return UNet2DConfig(
        **fields,
        attention_levels=_attention_levels(values, len(widths), origin),
        attention_head_dim=_head_dim(values, widths, origin),
        sample_height=sides[0],
        sample_width=sides[1],
    )


def _attention_levels(values: Mapping[str, Any], count: int, origin: str) -> tuple[bool, ...]:
    """The levels with transformers: the same on the way down and up, where their order is reversed."""
    found = []
    for key, plain in _PLAIN.items():
        kinds = values.get(key, [_ATTENTION[key]] * 3 + [plain])
        kinds = kinds if key == "down_block_types" else kinds[::-1]
        if len(kinds) != count or set(kinds) - {plain, _ATTENTION[key]}:
            raise UserError(f"{origin}: {key} {kinds}: must be {count}, of {plain} and {_ATTENTION[key]}")
        found.append(tuple(kind != plain for kind in kinds))
    if found[0] != found[1]:
        raise UserError(f"{origin}: attention at levels {found[0]} on the way down, and {found[1]} up")
    return found[0]


def _head_dim(values: Mapping[str, Any], widths: tuple[int, ...], origin: str) -> int:
    """The width of a head. diffusers calls the number of heads `attention_head_dim` (its issue 2011)."""
    heads = values["attention_head_dim"]
    heads = heads if isinstance(heads, (list, tuple)) else [heads] * len(widths)
    if len(heads) != len(widths) or not all(isinstance(n, int) and n > 0 for n in heads):
        raise UserError(f"{origin}: attention_head_dim {heads}: must be {len(widths)} numbers of heads")
    sizes = {width / n for width, n in zip(widths, heads, strict=True)}
    if len(sizes) > 1 or not (size := sizes.pop()).is_integer():
        raise UserError(f"{origin}: {heads} heads at widths {widths}: heads of one width are supported alone")
    return int(size)


def config_to_json(config: UNet2DConfig) -> dict[str, Any]:
    """The diffusers `config.json` of a config."""
    size = [config.sample_height, config.sample_width]

    def kinds(key: str) -> list[str]:
        return [_ATTENTION[key] if attention else _PLAIN[key] for attention in config.attention_levels]

    return {
        "_class_name": CLASS_NAME,
        **{key: getattr(config, field) for key, field in _FIELDS.items()},
        **_FIXED,
        "down_block_types": kinds("down_block_types"),
        "up_block_types": kinds("up_block_types")[::-1],
        "attention_head_dim": [width // config.attention_head_dim for width in config.block_out_channels],
        "sample_size": size if size[0] != size[1] else size[0],
    }
