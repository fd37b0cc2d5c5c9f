"""AudioSep's ResUNet: the tensor names of `ResUNet30` of Audio-AGI/AudioSep."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mtv_jax.models.resunet import ResUNetConfig
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.rules import CONV2D, Rule, batch_norm, linear

CLASS_NAME = "AudioSepResUNet"
"""Class name in config.json."""
_FIELDS = {field.name: field.name for field in dataclasses.fields(ResUNetConfig)}


def _residual(key: str, path: str) -> tuple[Rule, ...]:
    """The rules of a residual block. The layers of the condition have the block's name with arrows for the dots."""
    film = f"film.{key.replace('.', '->')}->beta"
    rules: list[Rule] = []
    for number in (1, 2):
        rules += batch_norm(f"base.{key}.bn{number}", f"{path}/norm_{number}")
        rules += linear(f"{film}{number}", f"{path}/film_{number}")
        rules.append(Rule(f"base.{key}.conv{number}.weight", f"{path}/conv_{number}/kernel", CONV2D))
    return (*rules, *linear(f"base.{key}.shortcut", f"{path}/shortcut", CONV2D))


RULES = (
    *batch_norm("base.bn0", "input_norm"),
    *linear("base.pre_conv", "pre_conv", CONV2D),
    *_residual("encoder_block{i}.conv_block1", "encoder_{i}"),
    *_residual("conv_block7a.conv_block1", "middle"),
    *batch_norm("base.decoder_block{i}.bn1", "decoder_{i}/norm"),
    *linear("film.decoder_block{i}->beta1", "decoder_{i}/film"),
    *batch_norm("base.decoder_block{i}.bn2", "decoder_{i}/unused_norm"),
    *linear("film.decoder_block{i}->beta2", "decoder_{i}/unused_film"),
    Rule("base.decoder_block{i}.conv1.weight", "decoder_{i}/enlarge/kernel", CONV2D),
    *_residual("decoder_block{i}.conv_block2", "decoder_{i}/residual"),
    *linear("base.after_conv", "after_conv", CONV2D),
)

IGNORED = (
    r"base\.i?stft\..*",  # the Fourier transform as matrices
    r".*\.num_batches_tracked",  # counters of the training
)


def config_from_json(json: Mapping[str, Any]) -> ResUNetConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    origin = f"{CLASS_NAME} config.json"
    return ResUNetConfig(
        **read_fields(json, _FIELDS, harmless=DIFFUSERS_HARMLESS, required=_FIELDS, origin=origin)
    )


def config_to_json(config: ResUNetConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    return {"_class_name": CLASS_NAME, **dataclasses.asdict(config), "widths": list(config.widths)}
