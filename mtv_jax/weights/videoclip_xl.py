"""VideoCLIP-XL: the tensor names of alibaba-pai/VideoCLIP-XL, whose file (`VideoCLIP-XL.bin`) comes without a config.

Our config.json has the names of the arguments of its two networks.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object
from mtv_jax.models.clip import TextConfig, VisionConfig
from mtv_jax.models.videoclip_xl import VideoCLIPXL, VideoCLIPXLConfig
from mtv_jax.typing import Params
from mtv_jax.weights.clip import resblocks
from mtv_jax.weights.json_config import CONFIG_FILE, DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.pretrained import Place, fill
from mtv_jax.weights.rules import BATCHED, CONV3D, Rule, norm
from mtv_jax.weights.torch_files import read_torch

CLASS_NAME = "VideoCLIP_XL"
"""Class name in config.json."""
_VISION = "vision_model.vision_encoder."
_TEXT = "text_model."


RULES = (
    Rule(f"{_VISION}class_embedding", "vision/class_embedding"),
    Rule(f"{_VISION}conv1.weight", "vision/patch_embedding/kernel", CONV3D),
    Rule(f"{_VISION}positional_embedding", "vision/position_embedding"),
    Rule(f"{_VISION}temporal_positional_embedding", "vision/frame_embedding", BATCHED),
    *norm(f"{_VISION}ln_pre", "vision/pre_norm"),
    *resblocks(_VISION, "vision"),
    *norm(f"{_VISION}ln_post", "vision/post_norm"),
    Rule(f"{_VISION}proj", "vision_projection/kernel"),
    Rule(f"{_TEXT}token_embedding.weight", "text/token_embedding"),
    Rule(f"{_TEXT}positional_embedding", "text/position_embedding"),
    Rule(f"{_TEXT}positional_embedding_res", "text/late_position_embedding"),
    *resblocks(_TEXT, "text"),
    *norm(f"{_TEXT}ln_final", "text/final_norm"),
    Rule(f"{_TEXT}text_projection", "text_projection/kernel"),
)

IGNORED = (r"text_model\.logit_scale", r"vision_model\.temp")
"""Of the loss."""

_VISION_FIELDS = {
    "input_resolution": "image_size",
    "patch_size": "patch_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "output_dim": "projection_dim",
    "num_frames": "num_frames",
}
_TEXT_FIELDS = {
    "context_length": "max_position_embeddings",
    "vocab_size": "vocab_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "embed_dim": "projection_dim",
}
_MLP_RATIO = 4
"""Width inside the feed-forward over that of a token; fixed in the original."""


def config_from_json(json: Mapping[str, Any]) -> VideoCLIPXLConfig:
    """The config of a config.json. Raises UserError for unsupported options, and for missing or unknown keys."""
    origin = f"{CLASS_NAME} config.json"
    parts = read_fields(
        json,
        {"vision": "vision", "text": "text"},
        harmless=DIFFUSERS_HARMLESS,
        required=("vision", "text"),
        origin=origin,
    )
    vision = _section(parts["vision"], _VISION_FIELDS, {"kernel_size": 1}, f"{origin}: vision")
    text = _section(parts["text"], _TEXT_FIELDS, {}, f"{origin}: text")
    frames, size, of_text = vision.pop("num_frames"), vision.pop("projection_dim"), text.pop("projection_dim")
    if size != of_text:
        raise UserError(f"{origin}: vision.output_dim {size} and text.embed_dim {of_text} must be equal")
    return VideoCLIPXLConfig(
        vision=VisionConfig(**vision), text=TextConfig(**text), projection_dim=size, num_frames=frames
    )


def _section(values: Any, fields: Mapping[str, str], fixed: Mapping[str, Any], origin: str) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise UserError(f"{origin}: must be an object")
    found = read_fields(values, fields, fixed=fixed, required=fields, origin=origin)
    width = found["hidden_size"]
    return found | {"intermediate_size": _MLP_RATIO * width if isinstance(width, int) else width}


def config_to_json(config: VideoCLIPXLConfig) -> dict[str, Any]:
    """The config.json of `config`. Raises UserError for sizes that the original's arguments cannot express."""
    shared = {"projection_dim": config.projection_dim, "num_frames": config.num_frames}
    return {
        "_class_name": CLASS_NAME,
        "vision": _arguments(config.vision, _VISION_FIELDS, shared),
        "text": _arguments(config.text, _TEXT_FIELDS, shared),
    }


def _arguments(
    config: VisionConfig | TextConfig, fields: Mapping[str, str], shared: Mapping[str, int]
) -> dict[str, Any]:
    if config.intermediate_size != _MLP_RATIO * config.hidden_size:
        raise UserError(
            f"intermediate_size {config.intermediate_size}: must be {_MLP_RATIO} x hidden_size in VideoCLIP-XL"
        )
    return {
        key: shared[field] if field in shared else getattr(config, field) for key, field in fields.items()
    }


def open_videoclip_xl(path: Path, settle: Place) -> tuple[VideoCLIPXL, Params]:
    """The network of the original's file, with `settle(path, leaf)` in place of each parameter.

    Sizes are those of a config.json beside the file, or the released ones. Raises UserError as `load_model` does.
    """
    config, file = VideoCLIPXLConfig.xl(), path.parent / CONFIG_FILE
    if file.exists():
        values = read_json_object(file)
        with errors_in_file(file):
            config = config_from_json(values)
    model = VideoCLIPXL(config)
    return model, fill(read_torch([path]), model, settle, path)
