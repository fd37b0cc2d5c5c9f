"""Stable Diffusion's autoencoder: diffusers' `AutoencoderKL`, and the names of latent-diffusion's code (LDM)."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.models.kl_vae import AutoencoderKL, KLVAEConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.pretrained import Place
from mtv_jax.weights.rules import CONV2D, POINTWISE2D, Rule, linear, norm, to_params, under

CLASS_NAME = "AutoencoderKL"

_conv = partial(linear, layout=CONV2D)
_pointwise = partial(linear, layout=POINTWISE2D)


def _block(key: str, path: str, shortcut: str = "conv_shortcut") -> tuple[Rule, ...]:
    return (
        *norm(f"{key}.norm1", f"{path}/norm1"),
        *_conv(f"{key}.conv1", f"{path}/conv1"),
        *norm(f"{key}.norm2", f"{path}/norm2"),
        *_conv(f"{key}.conv2", f"{path}/conv2"),
        *_pointwise(f"{key}.{shortcut}", f"{path}/shortcut"),
    )


def _half(name: str, levels: str, resample: tuple[str, str]) -> tuple[Rule, ...]:
    there, here = resample
    attention, path = f"{name}.mid_block.attentions.0", f"{name}/middle_attention"
    return (
        *_conv(f"{name}.conv_in", f"{name}/conv_in"),
        *_block(f"{name}.{levels}.{{i}}.resnets.{{j}}", f"{name}/level_{{i}}_block_{{j}}"),
        *_conv(f"{name}.{levels}.{{i}}.{there}.0.conv", f"{name}/level_{{i}}_{here}/conv"),
        *_block(f"{name}.mid_block.resnets.{{j}}", f"{name}/middle_{{j}}"),
        *norm(f"{attention}.group_norm", f"{path}/norm"),
        *(rule for n in "qkv" for rule in linear(f"{attention}.to_{n}", f"{path}/{n}")),
        *linear(f"{attention}.to_out.0", f"{path}/out"),
        *norm(f"{name}.conv_norm_out", f"{name}/norm_out"),
        *_conv(f"{name}.conv_out", f"{name}/conv_out"),
    )


RULES: tuple[Rule, ...] = (
    *_half("encoder", "down_blocks", ("downsamplers", "down")),
    *_pointwise("quant_conv", "encoder/quant"),
    *_pointwise("post_quant_conv", "decoder/quant"),
    *_half("decoder", "up_blocks", ("upsamplers", "up")),
)

_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
ALIASES = tuple((rf"\.attentions\.0\.{old}\.", f".attentions.0.{new}.") for old, new in _RENAMED.items())
"""Names in files of diffusers before 0.18, as that of stabilityai/stable-diffusion-2-1-base is."""

LDM_IGNORED = (r"loss\..*",)
"""The discriminator of the training."""


def ldm_rules(config: KLVAEConfig) -> tuple[Rule, ...]:
    """The rules of LDM's names, whose decoder counts its levels from the last one."""
    last = len(config.block_out_channels) - 1
    return (
        *_ldm_half("encoder"),
        *_block("encoder.down.{i}.block.{j}", "encoder/level_{i}_block_{j}", "nin_shortcut"),
        *_conv("encoder.down.{i}.downsample.conv", "encoder/level_{i}_down/conv"),
        *_pointwise("quant_conv", "encoder/quant"),
        *_pointwise("post_quant_conv", "decoder/quant"),
        *_ldm_half("decoder"),
        *(rule for level in range(last + 1) for rule in _ldm_up(level, f"decoder.up.{last - level}")),
    )


def _ldm_half(name: str) -> Iterator[Rule]:
    attention, path = f"{name}.mid.attn_1", f"{name}/middle_attention"
    yield from _conv(f"{name}.conv_in", f"{name}/conv_in")
    yield from _block(f"{name}.mid.block_1", f"{name}/middle_0", "nin_shortcut")
    yield from _block(f"{name}.mid.block_2", f"{name}/middle_1", "nin_shortcut")
    yield from norm(f"{attention}.norm", f"{path}/norm")
    for here, there in (*((n, n) for n in "qkv"), ("out", "proj_out")):
        yield from _pointwise(f"{attention}.{there}", f"{path}/{here}")
    yield from norm(f"{name}.norm_out", f"{name}/norm_out")
    yield from _conv(f"{name}.conv_out", f"{name}/conv_out")


def _ldm_up(level: int, there: str) -> Iterator[Rule]:
    yield from _block(f"{there}.block.{{j}}", f"decoder/level_{level}_block_{{j}}", "nin_shortcut")
    yield from _conv(f"{there}.upsample.conv", f"decoder/level_{level}_up/conv")


_FIELDS = {field.name: field.name for field in fields(KLVAEConfig)}
_BLOCK_TYPES = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}
_FIXED = {
    "act_fn": "silu",
    "shift_factor": None,
    "latents_mean": None,
    "latents_std": None,
    "use_quant_conv": True,
    "use_post_quant_conv": True,
    "mid_block_add_attention": True,
}
"""Keys of options that this architecture does not have, and their only supported values."""
_DEFAULTS = {"block_out_channels": (64,), "layers_per_block": 1, "sample_size": 32}
"""diffusers' defaults of missing keys, where they differ from KL-f8."""
_HARMLESS = (*DIFFUSERS_HARMLESS, "force_upcast", *_BLOCK_TYPES)


def config_from_json(json: Mapping[str, Any]) -> KLVAEConfig:
    """The config of a diffusers config.json; missing keys have diffusers' defaults.

    Raises UserError for an unknown key, or a value of another architecture.
    """
    origin = f"{CLASS_NAME} config.json"
    values = read_fields(json, _FIELDS, fixed=_FIXED, harmless=_HARMLESS, origin=origin)
    for key, name in _BLOCK_TYPES.items():
        types = json.get(key, [name])
        if not isinstance(types, list) or any(kind != name for kind in types):
            raise UserError(f"{origin}: {key} {types!r}: only {name} is supported")
    return KLVAEConfig(**(_DEFAULTS | values))


def config_to_json(config: KLVAEConfig) -> dict[str, Any]:
    """A config.json that diffusers loads as the same architecture."""
    levels = len(config.block_out_channels)
    values = {name: getattr(config, name) for name in _FIELDS}
    values["block_out_channels"] = list(config.block_out_channels)
    blocks = {key: [name] * levels for key, name in _BLOCK_TYPES.items()}
    return {"_class_name": CLASS_NAME, **values, **_FIXED, **blocks}


def open_ldm_vae(
    tensors: Mapping[str, Any],
    settle: Place,
    *,
    prefix: str = "first_stage_model.",
    config: KLVAEConfig | None = None,
    origin: str,
) -> tuple[AutoencoderKL, Params]:
    """The autoencoder among the tensors of a checkpoint of VideoCrafter or Stable Diffusion.

    Args:
      tensors: of the checkpoint; those whose names do not begin with `prefix` are not looked at.
      settle: `settle(path, leaf)` gives each parameter.
      prefix: "" for a file of the autoencoder alone.
      config: by default KL-f8.
      origin: the file, for errors.

    Raises UserError for tensors that are missing, unexpected or of another shape.
    """
    model = AutoencoderKL(config or KLVAEConfig.kl_f8())
    params = to_params(
        under(prefix, tensors),
        ldm_rules(model.config),
        parameter_shapes(model),
        ignored=LDM_IGNORED,
        origin=f"{origin}: {prefix}",
        place=settle,
    )
    return model, params
