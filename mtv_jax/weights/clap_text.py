"""CLAP's text half: transformers' tensor names and config.json (`ClapTextModelWithProjection`)."""

from collections.abc import Mapping
from typing import Any

from mtv_jax.models.clap import ClapTextConfig
from mtv_jax.weights.json_config import TRANSFORMERS_4_HARMLESS, read_fields
from mtv_jax.weights.rules import Rule, linear, norm

CLASS_NAME = "ClapTextModelWithProjection"
"""Class name in config.json."""


def projection(name: str) -> tuple[Rule, ...]:
    """The rules of the projection of a half."""
    return *linear(f"{name}.linear1", f"{name}/hidden"), *linear(f"{name}.linear2", f"{name}/out")


_LAYER = "text_model.encoder.layer.{layer}."
_EMBEDDINGS = {"word": "token", "position": "position", "token_type": "type"}

RULES = (
    *(
        Rule(f"text_model.embeddings.{theirs}_embeddings.weight", f"text/{ours}_embedding")
        for theirs, ours in _EMBEDDINGS.items()
    ),
    *norm("text_model.embeddings.LayerNorm", "text/embedding_norm"),
    *(
        rule
        for name in ("query", "key", "value")
        for rule in linear(f"{_LAYER}attention.self.{name}", f"text/blocks/attention/{name[0]}")
    ),
    *linear(f"{_LAYER}attention.output.dense", "text/blocks/attention/out"),
    *norm(f"{_LAYER}attention.output.LayerNorm", "text/blocks/attention_norm"),
    *linear(f"{_LAYER}intermediate.dense", "text/blocks/mlp/up"),
    *linear(f"{_LAYER}output.dense", "text/blocks/mlp/down"),
    *norm(f"{_LAYER}output.LayerNorm", "text/blocks/mlp_norm"),
    *linear("text_model.pooler.dense", "text/pooler"),
    *projection("text_projection"),
)

IGNORED = (r"text_model\.embeddings\.(position|token_type)_ids",)
"""The numbers 0, 1, 2 ..., and zeros."""

FIELDS = {
    name: name
    for name in [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
        "layer_norm_eps",
        "pad_token_id",
        "projection_dim",
    ]
}
ACTIVATIONS = {"hidden_act": "gelu", "projection_hidden_act": "relu"}
HARMLESS = TRANSFORMERS_4_HARMLESS | {
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "hidden_dropout_prob",
}


def config_from_json(json: Mapping[str, Any]) -> ClapTextConfig:
    """The config of transformers' `clap_text_model` config.json. Raises UserError for unsupported options."""
    fixed = ACTIVATIONS | {"position_embedding_type": "absolute"}
    return ClapTextConfig(
        **read_fields(json, FIELDS, fixed=fixed, harmless=HARMLESS, origin="clap_text_model config.json")
    )


def config_to_json(config: ClapTextConfig) -> dict[str, Any]:
    """transformers' config.json of `config`."""
    fields = {key: getattr(config, field) for key, field in FIELDS.items()}
    return {"architectures": [CLASS_NAME], "model_type": "clap_text_model", **ACTIVATIONS, **fields}
