"""The causal 3D autoencoder in diffusers' files: tensor names and config.json of AutoencoderKLCogVideoX."""

import difflib
from dataclasses import asdict, fields
from functools import partial
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.models.vae3d import VAE3DConfig
from mtv_jax.weights.rules import CONV2D, CONV3D, Rule, linear, norm

_conv = partial(linear, layout=CONV3D)


def _spatial_norm(key: str, path: str) -> tuple[Rule, ...]:
    return (
        *norm(f"{key}.norm_layer", f"{path}/norm"),
        *_conv(f"{key}.conv_y.conv", f"{path}/conv_y"),
        *_conv(f"{key}.conv_b.conv", f"{path}/conv_b"),
    )


def _block(key: str, path: str, *, spatial: bool) -> tuple[Rule, ...]:
    normed = _spatial_norm if spatial else norm
    return (
        *normed(f"{key}.norm1", f"{path}/norm1"),
        *_conv(f"{key}.conv1.conv", f"{path}/conv1"),
        *normed(f"{key}.norm2", f"{path}/norm2"),
        *_conv(f"{key}.conv2.conv", f"{path}/conv2"),
        *_conv(f"{key}.conv_shortcut", f"{path}/shortcut"),
    )


def _half(name: str, levels: str, resample: tuple[str, str], *, spatial: bool) -> tuple[Rule, ...]:
    there, here = resample
    normed = _spatial_norm if spatial else norm
    return (
        *_conv(f"{name}.conv_in.conv", f"{name}/conv_in"),
        *_block(f"{name}.{levels}.{{i}}.resnets.{{j}}", f"{name}/level_{{i}}_block_{{j}}", spatial=spatial),
        *_conv(f"{name}.{levels}.{{i}}.{there}.0.conv", f"{name}/level_{{i}}_{here}/conv", layout=CONV2D),
        *_block(f"{name}.mid_block.resnets.{{j}}", f"{name}/middle_{{j}}", spatial=spatial),
        *normed(f"{name}.norm_out", f"{name}/norm_out"),
        *_conv(f"{name}.conv_out.conv", f"{name}/conv_out"),
    )


RULES: tuple[Rule, ...] = (
    *_half("encoder", "down_blocks", ("downsamplers", "down"), spatial=False),
    *_half("decoder", "up_blocks", ("upsamplers", "up"), spatial=True),
)

CLASS_NAME = "AutoencoderKLCogVideoX"

HARMLESS = frozenset({"_class_name", "_diffusers_version", "_name_or_path", "force_upcast", "sample_size"})
"""Keys of config.json that have no effect here."""

_FIELDS = {field.name: field for field in fields(VAE3DConfig)}

_FIXED: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "swish"),
    "shift_factor": (None,),
    "latents_mean": (None,),
    "latents_std": (None,),
    "use_quant_conv": (False,),
    "use_post_quant_conv": (False,),
}
"""Keys of options that this architecture does not have, and their only supported values."""


_BLOCK_TYPES = {"down_block_types": "CogVideoXDownBlock3D", "up_block_types": "CogVideoXUpBlock3D"}
_KNOWN = frozenset({*_FIELDS, *_FIXED, *_BLOCK_TYPES, *HARMLESS})


def config_from_json(values: dict[str, Any]) -> VAE3DConfig:
    """The config of a diffusers config.json; missing keys have diffusers' defaults.

    Raises UserError for an unknown key, or a value of another architecture.
    """
    known = {}
    for key, value in values.items():
        if key in _FIELDS:
            known[key] = tuple(value) if isinstance(value, list) else value
        elif key in _FIXED and value not in _FIXED[key]:
            raise UserError(f"{CLASS_NAME} config: {key} {value!r} is not supported, only {_FIXED[key][0]!r}")
        elif key in _BLOCK_TYPES and set(value) != {_BLOCK_TYPES[key]}:
            raise UserError(f"{CLASS_NAME} config: {key} {value!r}: only {_BLOCK_TYPES[key]} is supported")
        elif key not in _KNOWN:
            nearest = difflib.get_close_matches(key, _KNOWN, n=1)
            hint = f"; the nearest known is {nearest[0]!r}" if nearest else ""
            raise UserError(f"{CLASS_NAME} config: unknown key {key!r}{hint}")
    return VAE3DConfig(**known)


def config_to_json(config: VAE3DConfig) -> dict[str, Any]:
    """A config.json that diffusers loads as the same architecture."""
    levels = len(config.block_out_channels)
    values = {
        key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()
    }
    if config.temporal_kernel_size == _FIELDS["temporal_kernel_size"].default:
        del values["temporal_kernel_size"]  # diffusers supports no other
    fixed = {key: allowed[0] for key, allowed in _FIXED.items()}
    blocks = {key: [name] * levels for key, name in _BLOCK_TYPES.items()}
    return {"_class_name": CLASS_NAME, **values, **fixed, **blocks}
