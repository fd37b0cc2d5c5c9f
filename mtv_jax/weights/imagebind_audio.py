"""ImageBind's network for sounds alone: the tensors of the whole network's file that are its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import errors_in_file
from mtv_jax.io.files import read_json_object
from mtv_jax.models.imagebind import ImageBindAudio, ImageBindAudioConfig, TrunkConfig
from mtv_jax.typing import Params
from mtv_jax.weights import imagebind
from mtv_jax.weights.json_config import CONFIG_FILE, DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.pretrained import Place, fill
from mtv_jax.weights.torch_files import read_torch

CLASS_NAME = "ImageBindAudioModel"
"""Class name in config.json."""

RULES = tuple(rule for rule in imagebind.RULES if ".audio." in rule.key)
IGNORED = (r"modality_(preprocessors|trunks|heads|postprocessors)\.(?!audio\.).*",)
"""The other modalities, in the file of the whole network."""

_FIELDS = {
    "out_embed_dim": "embedding_size",
    "audio_kernel_size": "audio_kernel_size",
    "audio_stride": "audio_stride",
    "audio_num_mel_bins": "num_mel_bins",
    "audio_target_len": "target_length",
}
_TRUNK = {"audio_embed_dim": "width", "audio_num_blocks": "num_layers", "audio_num_heads": "num_heads"}


def config_from_json(json: Mapping[str, Any]) -> ImageBindAudioConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    names = _FIELDS | {key: key for key in _TRUNK}
    origin = f"{CLASS_NAME} config.json"
    harmless = (*DIFFUSERS_HARMLESS, "audio_drop_path")
    values = read_fields(json, names, harmless=harmless, required=(*_TRUNK, "out_embed_dim"), origin=origin)
    trunk = TrunkConfig(**{field: values.pop(key) for key, field in _TRUNK.items()})
    return ImageBindAudioConfig(audio=trunk, **values)


def config_to_json(config: ImageBindAudioConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    trunk = {key: getattr(config.audio, field) for key, field in _TRUNK.items()}
    fields = {key: getattr(config, field) for key, field in _FIELDS.items()}
    return {"_class_name": CLASS_NAME, **fields, **trunk}


def open_imagebind_audio(path: Path, settle: Place) -> tuple[ImageBindAudio, Params]:
    """The network of the original's file (`imagebind_huge.pth`), with `settle(path, leaf)` in place of each parameter.

    Sizes are those of a config.json beside the file, of the whole network or of this one, or the released ones. Raises
    UserError as `load_model` does.
    """
    config, file = ImageBindAudioConfig.huge(), path.parent / CONFIG_FILE
    if file.exists():
        values = read_json_object(file)
        with errors_in_file(file):
            config = _part(values) if values.get("_class_name") != CLASS_NAME else config_from_json(values)
    model = ImageBindAudio(config)
    return model, fill(read_torch([path]), model, settle, path)


def _part(values: Mapping[str, Any]) -> ImageBindAudioConfig:
    """The config of this network in that of the whole one."""
    whole = imagebind.config_from_json(values)
    return ImageBindAudioConfig(**{name: getattr(whole, name) for name in ("audio", *_FIELDS.values())})
