"""The audio encoder of a pipeline folder."""

import dataclasses
from pathlib import Path

from mtv_jax.audio.features import AudioEncoder, mel_encoder
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json
from mtv_jax.models.mel import MelConfig
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields


def load_audio_encoder(folder: Path) -> AudioEncoder:
    """What the `config.json` of an `audio_encoder/` folder names. Raises UserError for what we do not know."""
    values = read_json(folder / "config.json")
    name = values.get("_class_name")
    if name != "LogMel":
        raise UserError(f"{folder / 'config.json'}: audio encoder {name!r} is not one we can load; LogMel is")
    same = {field.name: field.name for field in dataclasses.fields(MelConfig)}
    return mel_encoder(MelConfig(**read_fields(values, same, harmless=DIFFUSERS_HARMLESS, origin="LogMel")))
