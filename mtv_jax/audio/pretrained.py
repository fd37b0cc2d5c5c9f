"""The audio encoder of a pipeline folder."""

import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from mtv_jax.audio.beats import BEATsEncoder
from mtv_jax.audio.features import AudioEncoder, mel_encoder
from mtv_jax.audio.wav2vec2 import Wav2Vec2Encoder
from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object
from mtv_jax.models.beats import BEATs
from mtv_jax.models.mel import MelConfig
from mtv_jax.models.registry import NETWORKS
from mtv_jax.models.wav2vec2 import Wav2Vec2
from mtv_jax.names import TRACK_RATE
from mtv_jax.typing import Params
from mtv_jax.weights.beats import fbank_config_from_json
from mtv_jax.weights.json_config import CONFIG_FILE, DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.pretrained import identify, load_model

LOG_MEL = "LogMel"
_PREPROCESSOR = "preprocessor_config.json"
"""What happens to a sound before the network: transformers' file, or Kaldi's options for BEATs."""

_OURS = {"_alignment": "alignment", "_clip_length": "clip_length"}
"""Our fields in transformers' file; see `Wav2Vec2Encoder`."""
_FIXED = {
    "do_normalize": True,
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "padding_value": 0.0,
    "sampling_rate": TRACK_RATE,
}
_HARMLESS = ("padding_side", "processor_class", "return_attention_mask")


def load_audio_encoder(folder: Path, *, dtype: Any = jnp.float32) -> AudioEncoder:
    """The encoder that the `config.json` of an `audio_encoder/` folder names.

    `LogMel` (ours, no weights), `Wav2Vec2Model` as transformers saves it, or `BEATs` (its checkpoint's options
    and tensors). A `preprocessor_config.json` beside it is read too. Raises UserError for what we do not know.
    """
    values = read_json_object(folder / CONFIG_FILE)
    if values.get("_class_name") == LOG_MEL:
        with errors_in_file(folder / CONFIG_FILE):
            return _log_mel(values)
    spec = identify(folder, values)
    if spec.audio_encoder is None:
        encoders = [other for other in NETWORKS.values() if other.audio_encoder is not None]
        known = sorted([LOG_MEL, *(name for other in encoders for name in other.class_names)])
        raise UserError(f"{folder}: {spec.class_names[0]} is no audio encoder; known are {', '.join(known)}")
    module, _, function = spec.audio_encoder.partition(":")
    make_encoder = getattr(importlib.import_module(module), function)
    model, params = load_model(folder, dtype=dtype)
    path = folder / _PREPROCESSOR
    preprocessor = read_json_object(path) if path.exists() else {}
    with errors_in_file(path):
        return make_encoder(model, params, preprocessor, str(path))


def wav2vec2_encoder(
    model: Wav2Vec2, params: Params, preprocessor: Mapping[str, Any], origin: str
) -> AudioEncoder:
    """The encoder of a wav2vec 2.0 with transformers' preprocessor options, read from `origin`."""
    options = read_fields(preprocessor, _OURS, fixed=_FIXED, harmless=_HARMLESS, origin=origin)
    return Wav2Vec2Encoder(model, params, **options)


def beats_encoder(model: BEATs, params: Params, preprocessor: Mapping[str, Any], origin: str) -> AudioEncoder:
    """The encoder of a BEATs with Kaldi's options of its filter bank, read from `origin`."""
    return BEATsEncoder(model, params, fbank_config_from_json(preprocessor))


def needs_full_audio(folder: Path) -> bool:
    """Whether the encoder of a folder needs whole files (`Wav2Vec2Encoder.alignment`); no network is loaded."""
    path = folder / _PREPROCESSOR
    return path.exists() and read_json_object(path).get("_alignment") == "released"


def _log_mel(values: Mapping[str, Any]) -> AudioEncoder:
    same = {field.name: field.name for field in dataclasses.fields(MelConfig)}
    return mel_encoder(MelConfig(**read_fields(values, same, harmless=DIFFUSERS_HARMLESS, origin="LogMel")))
