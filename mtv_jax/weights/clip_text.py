"""CLIP's text encoder: the names of transformers' `CLIPTextModel`, and those of OpenCLIP."""

from collections.abc import Mapping
from typing import Any

from mtv_jax.models.clip_text import CLIPTextConfig, CLIPTextModel
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.typing import Params
from mtv_jax.weights import clip
from mtv_jax.weights.pretrained import Place
from mtv_jax.weights.rules import Rule, norm, to_params, under

CLASS_NAME = "CLIPTextModel"

RULES = tuple(rule for rule in clip.RULES if rule.key.startswith("text_model."))

ALIASES = ((r"^(embeddings|encoder|final_layer_norm)\.", r"text_model.\1."),)
"""transformers 5 stores the names without `text_model.`, and reads both."""
IGNORED = clip.IGNORED

OPENCLIP_RULES = (
    Rule("token_embedding.weight", "text/token_embedding"),
    Rule("positional_embedding", "text/position_embedding"),
    *clip.resblocks("", "text"),
    *norm("ln_final", "text/final_norm"),
)
"""Names of open_clip's text transformer."""

OPENCLIP_IGNORED = ("text_projection", "logit_scale", "attn_mask", r"visual\..*")
"""What is not of the encoder: the projection into CLIP's space, the scale of the loss, the mask, the picture tower."""

_TEXT_MODEL = "clip_text_model"
_PROJECTION = 512
"""transformers' default of `projection_dim`, a projection that this network does not have."""


def config_from_json(json: Mapping[str, Any]) -> CLIPTextConfig:
    """The config of transformers' `clip_text_model` config.json. Raises UserError for unsupported options."""
    default = clip.CLIPConfig.vit_b32().text
    base = CLIPTextConfig(**{field: getattr(default, field) for field in clip.TEXT_FIELDS.values()})
    return clip.read_tower(json, base, clip.TEXT_FIELDS, origin=f"{CLASS_NAME} config.json")


def config_to_json(config: CLIPTextConfig) -> dict[str, Any]:
    """transformers' config.json of `config`."""
    values = clip.tower_json(config, clip.TEXT_FIELDS, _TEXT_MODEL, _PROJECTION)
    return {"architectures": [CLASS_NAME], **values}


def open_openclip_text(
    tensors: Mapping[str, Any],
    settle: Place,
    *,
    prefix: str = "cond_stage_model.model.",
    config: CLIPTextConfig | None = None,
    origin: str,
) -> tuple[CLIPTextModel, Params]:
    """The text encoder among the tensors of a checkpoint of VideoCrafter or Stable Diffusion 2.

    Such a checkpoint has all layers of OpenCLIP's text transformer; the encoder is that without the last one, followed
    by the final norm (the "penultimate layer").

    Args:
      tensors: of the checkpoint; those whose names do not begin with `prefix` are not looked at.
      settle: `settle(path, leaf)` gives each parameter.
      prefix: "" for a file of OpenCLIP's.
      config: sizes of the encoder, of which the checkpoint has one layer more; by default ViT-H/14's.
      origin: the file, for errors.

    Raises UserError for tensors that are missing, unexpected or of another shape.
    """
    model = CLIPTextModel(config or CLIPTextConfig.vit_h())
    last = rf"transformer\.resblocks\.{model.config.num_hidden_layers}\..*"
    params = to_params(
        under(prefix, tensors),
        OPENCLIP_RULES,
        parameter_shapes(model),
        ignored=(*OPENCLIP_IGNORED, last),
        origin=f"{origin}: {prefix}",
        place=settle,
    )
    return model, params
