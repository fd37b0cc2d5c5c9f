"""AudioSep's ResUNet: the tensor names of Audio-AGI/AudioSep, whose checkpoint holds CLAP as well.

The released `audiosep_base_4M_steps.ckpt` is a checkpoint of Lightning: under `state_dict`, `ss_model.` are the tensors
of the ResUNet and `query_encoder.` those of LAION-CLAP (`audiosep_tensors`).
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.models.resunet import AudioSepResUNet, ResUNetConfig
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.pretrained import Place, fill
from mtv_jax.weights.rules import CONV2D, Rule, batch_norm, linear
from mtv_jax.weights.tensor_files import read_tensors
from mtv_jax.weights.torch_files import read_torch

CLASS_NAME = "AudioSepResUNet"
"""Class name in config.json."""
SEPARATOR, QUERY_ENCODER = "ss_model.", "query_encoder."
"""Prefixes of the two networks in AudioSep's checkpoint."""
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


def audiosep_tensors(path: Path, prefix: str) -> dict[str, Any]:
    """The tensors of one of the networks in AudioSep's checkpoint, by their names without `prefix`.

    Args:
      path: Lightning's checkpoint, or a safetensors file of the same names.
      prefix: `SEPARATOR` or `QUERY_ENCODER`.

    Raises:
      UserError: the file cannot be read, or it holds other tensors than those of the two networks.
    """
    tensors = read_tensors(path) if path.suffix == ".safetensors" else read_torch([path], entry="state_dict")
    others = sorted(key for key in tensors if not key.startswith((SEPARATOR, QUERY_ENCODER)))
    if others:
        raise UserError(
            f"{path}: no checkpoint of AudioSep, {others[0]} is neither {SEPARATOR}* nor {QUERY_ENCODER}*"
        )
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def open_audiosep(path: Path, settle: Place) -> tuple[AudioSepResUNet, Params]:
    """The ResUNet in AudioSep's checkpoint, with `settle(path, leaf)` in place of each parameter.

    Raises UserError as `load_model` does.
    """
    model = AudioSepResUNet(ResUNetConfig.audiosep_base())
    return model, fill(audiosep_tensors(path, SEPARATOR), model, settle, path)
