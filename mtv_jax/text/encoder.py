"""Encodes prompts to text embeddings, as stored in records and as given to the denoiser."""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.io.notes import note
from mtv_jax.text.tokenizer import Tokenizer
from mtv_jax.typing import Array, Float, Params

Padding = Literal["encoded", "zeros"]
_BATCH = 8
"""Prompts that are encoded at once, at most."""


def encode_prompts(
    tokenizer: Tokenizer,
    model: Any,
    params: Params,
    prompts: Sequence[str],
    *,
    max_length: int,
    padding: Padding = "encoded",
) -> list[Float[np.ndarray, "l d"]]:
    """Embeddings of each prompt, float32, on the host.

    `padding` selects the denoiser's input after the last token:
    - `encoded`: the prompt is padded to `max_length` and encoded without a mask, and the padding's embeddings are kept
      (l = `max_length`). The default, since CogVideoX and MTV were trained this way.
    - `zeros`: padding is masked and dropped (l = the prompt's tokens, including the end token); `pad_text` fills
      with zeros later. Wan was trained this way, and records are much smaller.

    A prompt of more than `max_length` tokens is truncated, keeping its end token, and a warning is logged.
    """
    tokens, mask = _tokenise(tokenizer, prompts, max_length)
    lengths = mask.sum(1) if padding == "zeros" else [max_length] * len(prompts)
    rows = []
    for start in range(0, len(prompts), _BATCH):
        part = slice(start, start + _BATCH)
        size = min(_BATCH, len(prompts))  # one compilation: a short last batch is padded
        chunk, chunk_mask = (_fill(array[part], size) for array in (tokens, mask))
        out = _apply(model, params, chunk, chunk_mask if padding == "zeros" else None)
        rows.extend(np.asarray(out)[: len(tokens[part])])
    return [row[:length] for row, length in zip(rows, lengths, strict=True)]


def pad_text(embeddings: Sequence[Float[np.ndarray, "_ d"]], max_length: int) -> Float[np.ndarray, "b n d"]:
    """Stacks embeddings into a batch of `max_length` tokens, padded with zeros.

    Raises UserError if one is longer, because it was encoded for another text length.
    """
    batch = np.zeros((len(embeddings), max_length, embeddings[0].shape[-1]), np.float32)
    for row, embedding in zip(batch, embeddings, strict=True):
        if len(embedding) > max_length:
            raise UserError(
                f"text embedding of {len(embedding)} tokens: the model takes {max_length}; encode it again"
            )
        row[: len(embedding)] = embedding
    return batch


@functools.partial(jax.jit, static_argnums=0)
def _apply(model: Any, params: Params, tokens: Array, mask: Array | None) -> Array:
    return jnp.asarray(model.apply(params, tokens, mask), jnp.float32)


def _tokenise(tokenizer: Tokenizer, prompts: Sequence[str], max_length: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.full((len(prompts), max_length), tokenizer.pad_id, np.int32)
    mask = np.zeros((len(prompts), max_length), bool)
    for i, prompt in enumerate(prompts):
        if not _is_text(prompt):
            raise UserError(f"prompt {prompt!a:.80}: it is not UTF-8")
        ids = tokenizer.encode(prompt)
        if unknown := tokenizer.unknown_words(prompt):
            note(f"words that the model does not know, and ignores: {', '.join(unknown)}")
        if len(ids) > max_length:
            note(f"prompt truncated from {len(ids)} to {max_length} tokens: {prompt:.60}...")
            ids = [*ids[: max_length - 1], ids[-1]]
        tokens[i, : len(ids)] = ids
        mask[i, : len(ids)] = True
    return tokens, mask


def _is_text(prompt: str) -> bool:
    """Whether it can be encoded as UTF-8; bytes of the command line that cannot are lone surrogates in Python."""
    try:
        prompt.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fill(array: np.ndarray, size: int) -> np.ndarray:
    """Repeats the last row of `array` up to `size` rows."""
    return np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])
