"""Tensor names of diffusers' CogVideoXTransformer3DModel for our backbone."""

from collections.abc import Mapping
from typing import Any

from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError
from mtv_jax.models.dit.config import DiTConfig
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.rules import BATCHED, CONV2D, Rule, linear, norm


def _rules() -> list[Rule]:
    layer = "transformer_blocks.{layer}"
    rules = [
        *linear("patch_embed.proj", "patch_embed/proj", CONV2D),  # CogVideoX 1.0
        *linear("patch_embed.proj", "patch_embed/proj_3d"),  # 1.5
        *linear("patch_embed.text_proj", "patch_embed/text_proj"),
        Rule("patch_embed.pos_embedding", "patch_embed/pos_embedding", BATCHED),
        *linear("time_embedding.linear_1", "time_embedding/linear_1"),
        *linear("time_embedding.linear_2", "time_embedding/linear_2"),
        *linear("ofs_embedding.linear_1", "ofs_embedding/linear_1"),
        *linear("ofs_embedding.linear_2", "ofs_embedding/linear_2"),
        *norm("norm_final", "norm_final"),
        *norm("norm_out.norm", "norm_out"),
        *linear("norm_out.linear", "norm_out_linear"),
        *linear("proj_out", "proj_out"),
        *linear(f"{layer}.attn1.to_out.0", "blocks/attn1/to_out"),
        *linear(f"{layer}.ff.net.0.proj", "blocks/ff/up"),
        *linear(f"{layer}.ff.net.2", "blocks/ff/down"),
    ]
    for name in ("norm1", "norm2"):
        rules += linear(f"{layer}.{name}.linear", f"blocks/{name}/linear")
        rules += norm(f"{layer}.{name}.norm", f"blocks/{name}/norm")
    for name in ("to_q", "to_k", "to_v"):
        rules += linear(f"{layer}.attn1.{name}", f"blocks/attn1/{name}")
    for name in ("norm_q", "norm_k"):
        rules += norm(f"{layer}.attn1.{name}", f"blocks/attn1/{name}")
    return rules


RULES: tuple[Rule, ...] = tuple(_rules())

_FIXED = {
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "dropout": 0.0,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "norm_elementwise_affine": True,
    "timestep_activation_fn": "silu",
}
"""Settings that are fixed in our network; another value is an error."""

_SAME = (
    "num_layers",
    "num_attention_heads",
    "attention_head_dim",
    "in_channels",
    "out_channels",
    "patch_size",
    "patch_size_t",
    "ofs_embed_dim",
    "text_embed_dim",
    "max_text_seq_length",
    "time_embed_dim",
    "sample_height",
    "sample_width",
    "spatial_interpolation_scale",
    "temporal_interpolation_scale",
    "norm_eps",
)
_OURS = (
    "ffn_multiplier",
    "rope_theta",
    "rope_grid",
    "qk_norm_eps",
    "final_norm_eps",
    "final_adaln_eps",
)
"""Settings that are fixed in diffusers; written only where a config differs (as for MTV's backbone)."""

_POSITIONS = ("use_rotary_positional_embeddings", "use_learned_positional_embeddings")
_ORIGIN = "config.json of CogVideoXTransformer3DModel"


def config_from_json(values: Mapping[str, Any]) -> DiTConfig:
    """The config of a diffusers `config.json`. Raises UserError for unsupported settings."""
    derived = (*_POSITIONS, "sample_frames", "temporal_compression_ratio", "patch_bias")
    fields = read_fields(
        values,
        {key: key for key in (*_SAME, *_OURS)},
        fixed=_FIXED,
        harmless=(*DIFFUSERS_HARMLESS, *derived),
        origin=_ORIGIN,
    )
    rotary, learned = (values.get(key, False) for key in _POSITIONS)
    if learned and not rotary:
        raise UserError(f"{_ORIGIN}: a learned position table without rotary positions is not supported")
    # diffusers reads `patch_bias` in 1.0 only; the files of 1.5 say false and have a bias.
    if not values.get("patch_bias", True) and fields.get("patch_size_t") is None:
        raise UserError(f"{_ORIGIN}: patch_bias = False is not supported")
    frames, ratio = (
        check_whole(key, values.get(key, default), most=2**17)
        for key, default in (("sample_frames", 49), ("temporal_compression_ratio", 4))
    )
    return DiTConfig(
        **_built_in(fields.get("patch_size_t"), fields.get("norm_eps", 1e-5)) | fields,
        positions="rope_learned" if learned else "rope" if rotary else "sincos",
        sample_frames=(frames - 1) // ratio + 1,
    )


def config_to_json(config: DiTConfig) -> dict[str, Any]:
    """The diffusers `config.json` of a config."""
    built_in = _built_in(config.patch_size_t, config.norm_eps)
    ours = {key: getattr(config, key) for key in _OURS}
    return {
        "_class_name": "CogVideoXTransformer3DModel",
        **{key: getattr(config, key) for key in _SAME},
        **_FIXED,
        **{key: value for key, value in ours.items() if value != built_in[key]},
        "patch_bias": config.patch_size_t is None,
        _POSITIONS[0]: config.positions != "sincos",
        _POSITIONS[1]: config.positions == "rope_learned",
        "sample_frames": (config.sample_frames - 1) * 4 + 1,
        "temporal_compression_ratio": 4,
    }


def _built_in(patch_size_t: int | None, norm_eps: float) -> dict[str, Any]:
    """Fields that a diffusers config omits: the defaults of its class and of its code."""
    return {
        "num_layers": 30,
        "num_attention_heads": 30,
        "ffn_multiplier": 4,
        "rope_theta": 1e4,
        "rope_grid": "resize" if patch_size_t is None else "slice",
        "qk_norm_eps": 1e-6,
        "final_norm_eps": norm_eps,
        "final_adaln_eps": norm_eps,
    }
