"""VideoCrafter's UNet: the tensor names of AILab-CVC/VideoCrafter, and a config.json of its arguments' names.

The original numbers its layers in the order in which they run, so that a name depends on the layers of a level.
"""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.models.videocrafter import VideoCrafterConfig, VideoCrafterUNet
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.pretrained import Place, fill
from mtv_jax.weights.rules import CONV1D, CONV2D, CONV3D, Rule, linear, norm
from mtv_jax.weights.unet2d import transformer_rules

CLASS_NAME = "VideoCrafterUNet"
"""Class name in config.json."""
PREFIX = "model.diffusion_model."
"""Of the UNet's tensors in a checkpoint of the whole system."""
ALIASES = ((f"^{PREFIX.replace('.', '[.]')}", ""),)


@functools.lru_cache(maxsize=8)
def rules(config: VideoCrafterConfig) -> tuple[Rule, ...]:
    """The rules of a network of this config."""
    return (
        *_sequential("time_embed", "time_embedding"),
        *_sequential("fps_embedding", "fps_embedding"),
        *linear("input_blocks.0.0", "conv_in", CONV2D),
        *transformer_rules("init_attn.0", "temporal_in", CONV1D),
        *_down(config),
        *_layer("middle_block.{}", "middle_0"),
        *_residual("middle_block.3", "middle_1"),
        *_up(config),
        *norm("out.0", "norm_out"),
        *linear("out.2", "conv_out", CONV2D),
    )


def _down(config: VideoCrafterConfig) -> Iterator[Rule]:
    number = 1  # of the input blocks
    for level in range(config.num_levels):
        for block in range(config.layers_per_block):
            yield from _layer(f"input_blocks.{number}.{{}}", f"down_{level}_{block}")
            number += 1
        yield from linear(f"input_blocks.{number}.0.op", f"downsample_{level}/conv", CONV2D)
        number += 1


def _up(config: VideoCrafterConfig) -> Iterator[Rule]:
    number = 0  # of the output blocks
    for step, level in enumerate(reversed(range(config.num_levels))):
        for block in range(config.layers_per_block + 1):
            yield from _layer(f"output_blocks.{number}.{{}}", f"up_{step}_{block}")
            number += 1
        last = 3 if config.attention_levels[level] else 1  # behind the transformers, if there are any
        yield from linear(f"output_blocks.{number - 1}.{last}.conv", f"upsample_{step}/conv", CONV2D)


def _layer(theirs: str, ours: str) -> Iterator[Rule]:
    yield from _residual(theirs.format(0), ours)
    yield from transformer_rules(theirs.format(1), f"{ours}/spatial")
    yield from transformer_rules(theirs.format(2), f"{ours}/temporal")


def _residual(theirs: str, ours: str) -> Iterator[Rule]:
    yield from norm(f"{theirs}.in_layers.0", f"{ours}/res/in_norm")
    yield from linear(f"{theirs}.in_layers.2", f"{ours}/res/in_conv", CONV2D)
    yield from linear(f"{theirs}.emb_layers.1", f"{ours}/res/time_proj")
    yield from norm(f"{theirs}.out_layers.0", f"{ours}/res/out_norm")
    yield from linear(f"{theirs}.out_layers.3", f"{ours}/res/out_conv", CONV2D)
    yield from linear(f"{theirs}.skip_connection", f"{ours}/res/shortcut", CONV2D)
    for i in range(4):
        conv = f"{theirs}.temopral_conv.conv{i + 1}"  # so spelt
        yield from norm(f"{conv}.0", f"{ours}/temporal_conv/norm_{i}")
        # All but the first have a dropout before the convolution.
        yield from linear(f"{conv}.{2 if i == 0 else 3}", f"{ours}/temporal_conv/conv_{i}", CONV3D)


def _sequential(theirs: str, ours: str) -> tuple[Rule, ...]:
    return *linear(f"{theirs}.0", f"{ours}/linear_1"), *linear(f"{theirs}.2", f"{ours}/linear_2")


_FIELDS = {
    "in_channels": "in_channels",
    "out_channels": "out_channels",
    "num_res_blocks": "layers_per_block",
    "num_head_channels": "attention_head_dim",
    "transformer_depth": "transformer_layers",
    "context_dim": "text_embed_dim",
    "temporal_length": "sample_frames",
    # Constants of the original.
    "norm_num_groups": "norm_num_groups",
    "norm_eps": "norm_eps",
}
_FIXED = {
    "addition_attention": True,
    "conv_resample": True,
    "dims": 2,
    "dropout": 0.0,
    "fps_cond": True,
    "num_heads": -1,
    "resblock_updown": False,
    "temporal_attention": True,
    "temporal_conv": True,
    "temporal_selfatt_only": True,
    "tempspatial_aware": False,
    "use_causal_attention": False,
    "use_image_attention": False,
    "use_linear": True,
    "use_relative_position": False,
    "use_scale_shift_norm": False,
}
"""Settings that are fixed in our network; another value is an error."""
_LEVELS = ("model_channels", "channel_mult", "attention_resolutions")
_HARMLESS = (*DIFFUSERS_HARMLESS, *_LEVELS, "image_size", "use_checkpoint")
"""Read apart, or without influence."""
_ORIGIN = f"config.json of {CLASS_NAME}"


def config_from_json(values: Mapping[str, Any]) -> VideoCrafterConfig:
    """The config of a config.json, or of the `unet_config` of the original's file of options.

    Raises UserError for settings that are missing, unknown or not supported.
    """
    required = (*_LEVELS, "num_head_channels", "context_dim", "temporal_length")
    fields = read_fields(values, _FIELDS, fixed=_FIXED, harmless=_HARMLESS, required=required, origin=_ORIGIN)
    sides = values.get("image_size", (40, 64))
    if not isinstance(sides, (list, tuple)) or len(sides) != 2:
        raise UserError(f"{_ORIGIN}: image_size {sides!r}: must be the height and width of the latents")
    widths, levels = _levels(*(values[key] for key in _LEVELS))
    return VideoCrafterConfig(
        **fields,
        block_out_channels=widths,
        attention_levels=levels,
        sample_height=sides[0],
        sample_width=sides[1],
    )


def _levels(width: Any, factors: Any, resolutions: Any) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Widths of all levels, and the levels with transformers, from factors of the width and of the resolution.

    Factors may be fractions of which the width makes whole numbers, such as 1.25; the original's are whole.
    """
    whole = isinstance(width, int) and all(isinstance(n, int) and n > 0 for n in resolutions)
    widths = [width * n for n in factors if isinstance(n, int | float) and n > 0] if whole else []
    if len(widths) != len(factors) or any(n % 1 for n in widths) or factors[0] != 1:
        raise UserError(
            f"{_ORIGIN}: {', '.join(_LEVELS)}: must make whole numbers, and the first channel_mult must be 1"
        )
    halvings = [2**level for level in range(len(factors))]
    if strange := sorted(set(resolutions) - set(halvings)):
        raise UserError(f"{_ORIGIN}: attention_resolutions {strange}: not among {halvings}")
    levels = tuple(factor in resolutions for factor in halvings)
    return tuple(map(int, widths)), levels


def config_to_json(config: VideoCrafterConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    first, *_ = widths = config.block_out_channels
    return {
        "_class_name": CLASS_NAME,
        **{key: getattr(config, field) for key, field in _FIELDS.items()},
        **_FIXED,
        "model_channels": first,
        "channel_mult": [width / first if width % first else width // first for width in widths],
        "attention_resolutions": [
            2**level for level, attends in enumerate(config.attention_levels) if attends
        ],
        "image_size": [config.sample_height, config.sample_width],
    }


def unet_of_checkpoint(
    tensors: Mapping[str, Any], config: VideoCrafterConfig, settle: Place, origin: Path
) -> tuple[VideoCrafterUNet, Params]:
    """The UNet in the tensors of a checkpoint of the whole system.

    `settle(path, leaf)` is in place of each parameter. The tensors of the autoencoder and the text encoder are passed
    over. Raises UserError, naming `origin`, if there are none of the UNet's, and as `load_model` does.
    """
    model = VideoCrafterUNet(config)
    own = {key: tensor for key, tensor in tensors.items() if key.startswith(PREFIX)}
    if not own:
        raise UserError(f"{origin}: no tensors named {PREFIX}*: not a checkpoint of VideoCrafter")
    return model, fill(own, model, settle, origin)
