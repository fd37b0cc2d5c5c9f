"""ImageBind: the tensor names of facebookresearch/ImageBind, whose file (`imagebind_huge.pth`) comes without a config.

Our config.json has the names of the arguments of `ImageBindModel`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import errors_in_file
from mtv_jax.io.files import read_json_object
from mtv_jax.models.imagebind import ImageBind, ImageBindConfig, TrunkConfig
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import CONFIG_FILE, DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.pretrained import Place, fill
from mtv_jax.weights.rules import BATCHED, CONV2D, CONV3D, LINEAR, Layout, Rule, linear, norm
from mtv_jax.weights.torch_files import read_torch

CLASS_NAME = "ImageBindModel"
"""Class name in config.json."""
_VECTOR = Layout(unit_axes=2)  # (1, 1, d) -> (d)


def _stem(modality: str, kernel: str, layout: Layout) -> tuple[Rule, ...]:
    theirs = f"modality_preprocessors.{modality}."
    return (
        Rule(f"{theirs}cls_token", f"{modality}/class_token", _VECTOR),
        Rule(f"{theirs}rgbt_stem.{kernel}.weight", f"{modality}/patch_embedding/kernel", layout),
        Rule(f"{theirs}pos_embedding_helper.pos_embed", f"{modality}/position_embedding", BATCHED),
    )


def _trunk(modality: str) -> tuple[Rule, ...]:
    theirs, ours = f"modality_trunks.{modality}.blocks.{{layer}}.", f"{modality}/blocks/"
    kernels, biases = (
        tuple(f"{ours}attention/{part}/{leaf}" for part in "qkv") for leaf in ("kernel", "bias")
    )
    return (
        Rule(f"{theirs}attn.in_proj_weight", kernels, LINEAR),
        Rule(f"{theirs}attn.in_proj_bias", biases),
        *(Rule(f"{theirs}attn.{name}", f"{ours}attention/{name}", _VECTOR) for name in ("bias_k", "bias_v")),
        *linear(f"{theirs}attn.out_proj", f"{ours}attention/out"),
        *norm(f"{theirs}norm_1", f"{ours}attention_norm"),
        *linear(f"{theirs}mlp.fc1", f"{ours}mlp/up"),
        *linear(f"{theirs}mlp.fc2", f"{ours}mlp/down"),
        *norm(f"{theirs}norm_2", f"{ours}mlp_norm"),
    )


def _head(modality: str, norm_name: str, linear_name: str) -> tuple[Rule, ...]:
    theirs = f"modality_heads.{modality}."
    return (
        *norm(theirs + norm_name, f"{modality}/head_norm"),
        Rule(f"{theirs}{linear_name}.weight", f"{modality}/projection/kernel", LINEAR),
    )


RULES = (
    *_stem("vision", "proj.1", CONV3D),
    *norm("modality_trunks.vision.pre_transformer_layer.0", "vision/pre_norm"),
    *_trunk("vision"),
    *_head("vision", "0", "2"),
    Rule("modality_preprocessors.text.token_embedding.weight", "text/token_embedding"),
    Rule("modality_preprocessors.text.pos_embed", "text/position_embedding", BATCHED),
    *_trunk("text"),
    *_head("text", "proj.0", "proj.1"),
    *_stem("audio", "proj", CONV2D),
    *norm("modality_preprocessors.audio.rgbt_stem.norm_layer", "audio/patch_norm"),
    *_trunk("audio"),
    *_head("audio", "0", "2"),
    *(Rule(f"modality_postprocessors.{m}.1.log_logit_scale", f"{m}/log_scale") for m in ("text", "audio")),
)

DROPPED = ("depth", "thermal", "imu")
"""Modalities of the released file that are not loaded."""
IGNORED = (
    r"modality_preprocessors\.text\.mask",  # the causal mask
    rf"modality_(preprocessors|trunks|heads|postprocessors)\.({'|'.join(DROPPED)})\..*",
)

_MODALITIES = ("vision", "text", "audio")
_FIELDS = {
    "out_embed_dim": "embedding_size",
    "kernel_size": "kernel_size",
    "audio_kernel_size": "audio_kernel_size",
    "audio_stride": "audio_stride",
    "audio_num_mel_bins": "num_mel_bins",
    "audio_target_len": "target_length",
    # Constants of the original.
    "image_size": "image_size",
    "text_vocab_size": "vocab_size",
    "text_context_length": "context_length",
}
_TRUNK_FIELDS = {"embed_dim": "width", "num_blocks": "num_layers", "num_heads": "num_heads"}
_TRUNKS = {
    f"{modality}_{key}": (modality, field) for modality in _MODALITIES for key, field in _TRUNK_FIELDS.items()
}
_OF_DROPPED = ("kernel_size", "drop_path", *_TRUNK_FIELDS)
_HARMLESS = (
    *DIFFUSERS_HARMLESS,
    "audio_drop_path",
    "video_frames",
    *(f"{modality}_{name}" for modality in DROPPED for name in _OF_DROPPED),
)


def config_from_json(json: Mapping[str, Any]) -> ImageBindConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    names = _FIELDS | {key: key for key in _TRUNKS}
    needed = (*_TRUNKS, "out_embed_dim")
    values = read_fields(json, names, harmless=_HARMLESS, required=needed, origin=f"{CLASS_NAME} config.json")
    trunks: dict[str, dict[str, Any]] = {modality: {} for modality in _MODALITIES}
    for key, (modality, field) in _TRUNKS.items():
        trunks[modality][field] = values.pop(key)
    values |= {modality: TrunkConfig(**trunk) for modality, trunk in trunks.items()}
    return ImageBindConfig(**values)


def config_to_json(config: ImageBindConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    trunks = {key: getattr(getattr(config, modality), field) for key, (modality, field) in _TRUNKS.items()}
    fields = {key: getattr(config, field) for key, field in _FIELDS.items()}
    return {"_class_name": CLASS_NAME, **fields, "kernel_size": list(config.kernel_size), **trunks}


def open_imagebind(path: Path, settle: Place) -> tuple[ImageBind, Params]:
    """The network of the original's file, with `settle(path, leaf)` in place of each parameter.

    Sizes are those of a config.json beside the file, or the released ones. The tensors of `DROPPED` are not read.
    Raises UserError as `load_model` does.
    """
    config, file = ImageBindConfig.huge(), path.parent / CONFIG_FILE
    if file.exists():
        values = read_json_object(file)
        with errors_in_file(file):
            config = config_from_json(values)
    model = ImageBind(config)
    return model, fill(read_torch([path]), model, settle, path)
