"""CLAP's files by LAION (`630k-audioset-best.pt`), whose tensors get transformers' names.

The map of names is that of transformers' conversion script for CLAP. Its configs give RoBERTa's layer norms an epsilon
of 1e-12; here it is RoBERTa-base's 1e-5, with which LAION's code computes.
"""

import re
from collections.abc import Mapping
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.models.clap import ClapText, ClapTextConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.typing import Params
from mtv_jax.weights import clap_text
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.pretrained import Place
from mtv_jax.weights.rules import to_params

_ALIASES = (
    (r"^module\.", ""),
    (r"^text_branch\.", "text_model."),
    (r"_projection\.0\.", "_projection.linear1."),
    (r"_projection\.2\.", "_projection.linear2."),
)
_HEAD_WIDTH = 64
"""Of RoBERTa's heads, whose number no tensor tells."""
_EPSILON = 1e-5


def laion_text(tensors: Mapping[str, Any], settle: Place, origin: str) -> tuple[ClapText, Params]:
    """The text half of LAION's tensors, `text_branch.*` and `text_projection.*`; all others are ignored.

    `settle(path, leaf)` gives what stands in place of each parameter. Sizes are those of the tensors. For AudioSep's
    checkpoint, pass the tensors under `query_encoder.model.` without this prefix. Raises UserError if tensors are
    missing or do not fit.
    """
    tensors = Canonical(tensors, _ALIASES)
    tensors = {key: tensors[key] for key in tensors if key.startswith(("text_model.", "text_projection."))}
    model = ClapText(_text_config(tensors, origin))
    shapes = parameter_shapes(model)
    ignored = clap_text.IGNORED
    return model, to_params(tensors, clap_text.RULES, shapes, ignored=ignored, origin=origin, place=settle)


def _text_config(tensors: Mapping[str, Any], origin: str) -> ClapTextConfig:
    def size(key: str, axis: int) -> int:
        return _shape(tensors, key, origin)[axis]

    embeddings = "text_model.embeddings.{}_embeddings.weight".format
    width = size(embeddings("word"), 1)
    return ClapTextConfig(
        vocab_size=size(embeddings("word"), 0),
        hidden_size=width,
        num_hidden_layers=_count(tensors, r"text_model\.encoder\.layer\.(\d+)\."),
        num_attention_heads=max(width // _HEAD_WIDTH, 1),
        intermediate_size=size("text_model.encoder.layer.0.intermediate.dense.weight", 0),
        max_position_embeddings=size(embeddings("position"), 0),
        type_vocab_size=size(embeddings("token_type"), 0),
        layer_norm_eps=_EPSILON,
        projection_dim=size("text_projection.linear2.weight", 0),
    )


def _shape(tensors: Mapping[str, Any], key: str, origin: str) -> tuple[int, ...]:
    if key not in tensors:
        raise UserError(f"{origin}: not a CLAP of LAION's with RoBERTa, since it has no {key}")
    return tuple(tensors[key].shape)


def _count(tensors: Mapping[str, Any], pattern: str) -> int:
    """One more than the largest number in a key that the pattern matches."""
    return 1 + max((int(match[1]) for key in tensors if (match := re.match(pattern, key))), default=-1)
