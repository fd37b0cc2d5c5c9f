"""Reads config.json of other libraries: known keys map to fields, any other key is an error."""

from collections.abc import Iterable, Mapping
from typing import Any

from mtv_jax.io.errors import UserError

CONFIG_FILE = "config.json"
"""The config of a network, in its folder."""
UNTRAINED_SEED = "_untrained_seed"
"""Key of a config without weights: the seed to initialise random weights from."""

DIFFUSERS_HARMLESS = ("_class_name", "_diffusers_version", "_name_or_path")
"""Metadata keys of any diffusers config."""

TRANSFORMERS_HARMLESS = frozenset(
    [
        "_attn_implementation_autoset",
        "_name_or_path",
        "_commit_hash",
        "activation_dropout",
        "architectures",
        "attention_dropout",
        "bos_token_id",
        "chunk_size_feed_forward",
        "decoder_start_token_id",
        "dropout_rate",
        "dtype",
        "eos_token_id",
        "experts_implementation",
        "hidden_dropout",
        "id2label",
        "initializer_factor",
        "initializer_range",
        "is_decoder",
        "is_encoder_decoder",
        "label2id",
        "layerdrop",
        "model_type",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "output_past",
        "pad_token_id",
        "problem_type",
        "return_dict",
        "sep_token_id",
        "task_specific_params",
        "tie_word_embeddings",
        "tokenizer_class",
        "torch_dtype",
        "transformers_version",
        "use_cache",
        "vocab_size",
    ]
)
"""Keys of any transformers config that do not affect an encoder's forward pass."""

TRANSFORMERS_4_HARMLESS = TRANSFORMERS_HARMLESS | frozenset(
    [
        "add_cross_attention",
        "bad_words_ids",
        "begin_suppress_tokens",
        "cross_attention_hidden_size",
        "diversity_penalty",
        "do_sample",
        "dropout",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "exponential_decay_length_penalty",
        "finetuning_task",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "gradient_checkpointing",
        "length_penalty",
        "max_length",
        "min_length",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_return_sequences",
        "output_scores",
        "prefix",
        "pruned_heads",
        "remove_invalid_values",
        "repetition_penalty",
        "return_dict_in_generate",
        "suppress_tokens",
        "temperature",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "top_k",
        "top_p",
        "torchscript",
        "typical_p",
        "use_bfloat16",
    ]
)
"""Those, and the keys about generating text that transformers 4 wrote into every config."""


def read_fields(
    json: Mapping[str, Any],
    fields: Mapping[str, str],
    *,
    fixed: Mapping[str, Any] | None = None,
    harmless: Iterable[str] = (),
    required: Iterable[str] = (),
    origin: str,
) -> dict[str, Any]:
    """The dataclass fields that `json` gives, by `fields` (their key -> our field).

    `fixed` are keys of which only one value is supported. Raises UserError naming unknown, unsupported or
    missing keys.
    """
    fixed = fixed or {}
    harmless = set(harmless) - set(fields) - set(fixed)
    unknown = sorted(set(json) - set(fields) - set(fixed) - harmless)
    if unknown:
        raise UserError(f"{origin}: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(fields))}")
    for key, only in fixed.items():
        if key in json and json[key] != only:
            raise UserError(f"{origin}: {key} = {json[key]!r} is not supported (only {only!r})")
    missing = sorted(set(required) - set(json))
    if missing:
        raise UserError(f"{origin}: keys missing: {', '.join(missing)}")
    return {field: _frozen(json[key]) for key, field in fields.items() if key in json}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
