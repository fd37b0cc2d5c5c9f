"""The text encoder of a pipeline folder: tokenizer, network and encoding options."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mtv_jax.models.registry import spec_of
from mtv_jax.text.encoder import Padding, encode_prompts, pad_text
from mtv_jax.text.tokenizer import Tokenizer, load_tokenizer
from mtv_jax.typing import Float, Params
from mtv_jax.weights.model_index import TextOptions
from mtv_jax.weights.pretrained import load_model


@dataclass(frozen=True)
class TextEncoder:
    """Encodes prompts to embeddings, by T5 or CLIP. `text_length` is in tokens; for `padding` see `encode_prompts`."""

    tokenizer: Tokenizer
    model: Any
    params: Params
    text_length: int
    padding: Padding

    @classmethod
    def from_pretrained(
        cls,
        folder: Path,
        options: TextOptions,
        *,
        dtype: Any = jnp.float32,
        mesh: Mesh | None = None,
    ) -> "TextEncoder":
        """Loads `text_encoder/` and `tokenizer/` of a pipeline folder; for T5 without a tokenizer, bytes are tokens."""
        model, params = load_model(folder / "text_encoder", dtype=dtype, mesh=mesh)
        directory, kind = folder / "tokenizer", spec_of(model).tokenizer
        if kind == "folder" and not directory.is_dir():
            kind = "bytes"
        tokenizer = load_tokenizer(directory, kind)
        return cls(tokenizer, model, params, options.text_length, options.text_padding)  # pyright: ignore[reportArgumentType]

    def encode(self, prompts: Sequence[str]) -> list[Float[np.ndarray, "l d"]]:
        """Embeddings as stored in records: without the zeros after a prompt."""
        return encode_prompts(
            self.tokenizer,
            self.model,
            self.params,
            prompts,
            max_length=self.text_length,
            padding=self.padding,
        )

    def __call__(self, prompts: Sequence[str]) -> Float[np.ndarray, "b l d"]:
        """Embeddings as given to the denoiser."""
        return pad_text(self.encode(prompts), self.text_length)
