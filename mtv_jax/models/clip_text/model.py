"""CLIP's text transformer as an encoder: an embedding of every token."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.models.clip.text import TextTransformer
from mtv_jax.models.clip_text.config import CLIPTextConfig
from mtv_jax.typing import Array, Bool, Float, Int


class CLIPTextModel(nn.Module):
    """Token ids to embeddings (transformers `CLIPTextModel`, its `last_hidden_state`).

    `dtype` is that of the products' inputs; everything else is float32.
    """

    config: CLIPTextConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self) -> None:
        """Creates the submodules; called by Flax."""
        self.text = TextTransformer(self.config, self.dtype, self.scan_layers)

    def __call__(
        self, tokens: Int[Array, "b l"], mask: Bool[Array, "b l"] | None = None
    ) -> Float[Array, "b l d"]:
        """Embeddings after the final norm, float32.

        Stable Diffusion and VideoCrafter give all 77 tokens, padded with 0, and no `mask` (true = a token of the
        prompt). Raises UserError for more tokens than there are positions.
        """
        return self.text.encode(tokens, mask)
