"""CLAP's text half: RoBERTa (Liu et al., 2019), its pooler and a projection."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.clap.config import ClapTextConfig
from mtv_jax.models.clip.transformer import FeedForward, SelfAttention
from mtv_jax.ops.precision import dense, layer_norm
from mtv_jax.ops.stack import run_stack, stack_layers
from mtv_jax.typing import Array, Float, Int


class TextBlock(nn.Module):
    """Attention and feed-forward, each added to its input and normed after (BERT's post-norm layer)."""

    config: ClapTextConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], mask: Array) -> tuple[Array, None]:
        """Signature for `nn.scan`: the carry is the hidden states."""
        cfg, dtype = self.config, self.dtype
        attended = SelfAttention(cfg.num_attention_heads, dtype, name="attention")(x, mask)
        x = layer_norm(cfg.layer_norm_eps, "attention_norm")(x + attended)
        hidden = FeedForward(cfg.intermediate_size, "gelu", dtype, name="mlp")(x)
        x = layer_norm(cfg.layer_norm_eps, "mlp_norm")(x + hidden)
        self.sow("intermediates", "output", x)
        return x, None


class RobertaTransformer(nn.Module):
    """Token ids to the pooled first token. `dtype` is that of the products' inputs; everything else is float32."""

    config: ClapTextConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg = self.config
        normal, width = nn.initializers.normal(0.02), cfg.hidden_size
        self.token_embedding = self.param("token_embedding", normal, (cfg.vocab_size, width))
        self.position_embedding = self.param(
            "position_embedding", normal, (cfg.max_position_embeddings, width)
        )
        self.type_embedding = self.param("type_embedding", normal, (cfg.type_vocab_size, width))
        self.embedding_norm = layer_norm(cfg.layer_norm_eps)
        layers = stack_layers(TextBlock, cfg.num_hidden_layers, num_broadcast=1, scan=self.scan_layers)
        self.blocks = layers(cfg, self.dtype)
        self.pooler = dense(width, self.dtype)

    def __call__(self, tokens: Int[Array, "b l"]) -> Float[Array, "b d"]:
        """The first token's output after the pooler (linear, tanh), float32. Padding has no influence.

        Raises UserError for more tokens than there are positions.
        """
        length, most = tokens.shape[1], self.config.max_text_tokens
        if length > most:
            raise UserError(f"text of {length} tokens: this network takes at most {most}")
        heard = tokens != self.config.pad_token_id
        x = jnp.take(self.token_embedding, tokens, axis=0) + self.type_embedding[0]
        x = x + jnp.take(self.position_embedding, self._positions(heard), axis=0)
        x = run_stack(self.blocks, self.embedding_norm(x), heard[:, None, None])
        return jnp.tanh(self.pooler(x[:, 0]))

    def _positions(self, heard: Array) -> Int[Array, "b l"]:
        """Rows of the table of positions: padding has its own, the others count from the one after it."""
        return jnp.cumsum(heard, axis=1) * heard + self.config.pad_token_id


class Projection(nn.Module):
    """Linear, ReLU, Linear: from the width of a half to that of the features."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b d"]) -> Float[Array, "b p"]:
        """Features in float32, not of unit length."""
        return dense(self.features, self.dtype, "out")(nn.relu(dense(self.features, self.dtype, "hidden")(x)))


class ClapText(nn.Module):
    """The text half alone, as AudioSep needs it. Its parameters are a part of `Clap`'s."""

    config: ClapTextConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        self.text = RobertaTransformer(self.config, self.dtype, self.scan_layers)
        self.text_projection = Projection(self.config.projection_dim, self.dtype)

    def __call__(self, tokens: Int[Array, "b l"]) -> Float[Array, "b p"]:
        """As `text_features`."""
        return self.text_features(tokens)

    def text_features(self, tokens: Int[Array, "b l"]) -> Float[Array, "b p"]:
        """Features of texts, float32, not of unit length.

        Texts have the tokens of their start and end, and `pad_token_id` after that.
        """
        return self.text_projection(self.text(tokens))
