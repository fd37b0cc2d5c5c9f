"""CLIP's text transformer: token ids to the feature of the end token."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.clip.config import TextConfig
from mtv_jax.models.clip.transformer import make_blocks
from mtv_jax.ops.precision import layer_norm
from mtv_jax.ops.stack import run_stack
from mtv_jax.typing import Array, Bool, Float, Int


class TextTransformer(nn.Module):
    """Token ids to features. `dtype` is that of the products' inputs; everything else is float32."""

    config: TextConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg = self.config
        self.token_embedding = self.param(
            "token_embedding", nn.initializers.normal(0.02), (cfg.vocab_size, cfg.hidden_size)
        )
        self.position_embedding = self.param("position_embedding", nn.initializers.normal(0.01), self._table)
        self.blocks = make_blocks(cfg, self.dtype, scan=self.scan_layers)
        self.final_norm = layer_norm(cfg.layer_norm_eps)

    @property
    def _table(self) -> tuple[int, int]:
        """Shape of a table of positions."""
        return self.config.max_position_embeddings, self.config.hidden_size

    def positions(self) -> Float[Array, "l d"]:
        """The embedding of every position."""
        return self.position_embedding

    def __call__(self, tokens: Int[Array, "b l"]) -> Float[Array, "b d"]:
        """The end token's output after the final norm, float32. Tokens after it have no influence.

        Raises UserError for more tokens than there are positions.
        """
        x = self.encode(tokens)
        self.sow("intermediates", "normed", x)
        ends = end_positions(tokens, self.config.eos_token_id)
        return jnp.take_along_axis(x, ends[:, None, None], axis=1)[:, 0]

    def encode(
        self, tokens: Int[Array, "b l"], mask: Bool[Array, "b l"] | None = None
    ) -> Float[Array, "b l d"]:
        """The output of every token after the final norm, float32.

        A token attends to itself and those before it, of these only to where `mask` is true if it is given. Raises
        UserError for more tokens than there are positions.
        """
        length, most = tokens.shape[1], self.config.max_position_embeddings
        if length > most:
            raise UserError(f"text of {length} tokens: this network takes at most {most}")
        x = jnp.take(self.token_embedding, tokens, axis=0).astype(jnp.float32) + self.positions()[:length]
        seen = jnp.tril(jnp.ones((length, length), bool))
        if mask is not None:
            seen = seen & mask[:, None, None, :]
        return self.final_norm(run_stack(self.blocks, x, seen))


def end_positions(tokens: Int[Array, "b l"], eos_token_id: int | None) -> Int[Array, "b"]:
    """Where the first end token of each row is; without its id, the first of the row's highest id."""
    return jnp.argmax(tokens if eos_token_id is None else tokens == eos_token_id, axis=1)
