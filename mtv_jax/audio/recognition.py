"""What is heard in a sound, by CLAP: embeddings of words and of sounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mtv_jax.io.errors import UserError
from mtv_jax.models.clap import ClapText, ClapTokenizer, load_clap_tokenizer
from mtv_jax.typing import Params
from mtv_jax.weights.pretrained import load_model

_TOKENS = 16
"""Texts are padded to a multiple of so many tokens, so that few programs are compiled."""


@dataclass(frozen=True)
class ClapEncoder:
    """A CLAP with its tokenizer."""

    model: ClapText
    params: Params
    tokenizer: ClapTokenizer

    def text_embeddings(self, words: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Embeddings of texts such as `dog barking`, float32, of unit length, as AudioSep takes them.

        The texts go in as they are, without a sentence around them. Raises UserError for a text of more tokens than
        the network has positions.
        """
        tokens = self.tokenizer.encode(words)
        length = tokens.shape[1]
        padded = min(-(-length // _TOKENS) * _TOKENS, max(length, self.model.config.max_text_tokens))
        tokens = np.pad(tokens, ((0, 0), (0, padded - length)), constant_values=self.tokenizer.pad_id)
        return unit_rows(_apply(self.model, "text_features", self.params, tokens))


def load_clap(folder: Path, *, dtype: Any = jnp.float32) -> ClapEncoder:
    """The CLAP of a folder of transformers: `ClapModel`, or the text half alone, with `tokenizer.json` beside it.

    Raises UserError as `load_model` does, for another network, and without the tokenizer.
    """
    model, params = load_model(folder, dtype=dtype)
    if not isinstance(model, ClapText):
        raise UserError(f"{folder}: {type(model).__name__} is not a CLAP")
    tokenizer = load_clap_tokenizer(folder)
    if tokenizer.pad_id != model.config.pad_token_id:
        raise UserError(
            f"{folder}: the tokenizer pads with {tokenizer.pad_id}, the network with {model.config.pad_token_id}"
        )
    return ClapEncoder(model, params, tokenizer)


def unit_rows(features: Any) -> Float[np.ndarray, "n d"]:
    """Rows divided by their length, float32."""
    rows = np.asarray(features, np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@partial(jax.jit, static_argnums=(0, 1))
def _apply(model: nn.Module, method: str, params: Params, *inputs: Any) -> Any:
    return model.apply(params, *inputs, method=method)
