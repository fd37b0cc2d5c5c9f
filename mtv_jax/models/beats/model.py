"""BEATs: a filter bank to the hidden states of every layer, a token for each 16 x 16 patch."""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.beats.config import BEATsConfig
from mtv_jax.models.t5.model import relative_bias, relative_position_buckets
from mtv_jax.models.wav2vec2.model import FeedForward, PositionalConv, collect_layers
from mtv_jax.ops.attention import attention
from mtv_jax.ops.precision import convolution, dense, layer_norm
from mtv_jax.ops.stack import stack_layers
from mtv_jax.typing import Array, Float


def reduce_mask(mask: Array, length: int) -> Array:
    """A mask of samples [b s] (true = real) at a coarser `length`: true where any of a group is.

    The remainder after equal groups is dropped at the end. BEATs reduces samples to frames, then
    frames to tokens.
    """
    group = mask.shape[1] // length
    return mask[:, : group * length].reshape(mask.shape[0], length, group).any(-1)


class GatedSelfAttention(nn.Module):
    """Self-attention with a relative position bias that each query scales by its own gate.

    The gate is of the projected query (BEATs), or of the layer's input (WavLM).
    """

    heads: int
    dtype: Any = jnp.float32
    gate_from: Literal["query", "input"] = "query"

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], bias: Array, mask: Array | None) -> Float[Array, "b n d"]:
        """`bias` [1 h n n] is shared by the layers; `mask` [b 1 1 n] is true on keys to attend to."""
        split = (*x.shape[:2], self.heads, x.shape[-1] // self.heads)
        q, k, v = (
            nn.Dense(x.shape[-1], dtype=self.dtype, name=name)(x).reshape(split) for name in ("q", "k", "v")
        )
        gate = self._gate(q if self.gate_from == "query" else x.reshape(split))
        out = attention(q, k, v, mask=mask, bias=gate * bias)
        return dense(x.shape[-1], self.dtype, "out")(out.reshape(x.shape))

    def _gate(self, q: Float[Array, "b n h d"]) -> Float[Array, "b h n 1"]:
        """`a (b w - 1) + 2`, where a and b are sigmoids of sums of four projections of the query."""
        projected = dense(8, self.dtype, "gate")(q)
        self.sow("intermediates", "gate_projection", projected)
        sums = projected.reshape(*q.shape[:3], 2, 4).sum(-1)
        a, b = jnp.moveaxis(jax.nn.sigmoid(sums), -1, 0)
        weight = self.param("gate_weight", nn.initializers.ones, (1, q.shape[2], 1, 1))[:, :, 0, 0]
        return (a * (b * weight - 1.0) + 2.0).transpose(0, 2, 1)[..., None]


class BEATsBlock(nn.Module):
    """A post-norm transformer layer with DeepNorm's scaled residuals."""

    config: BEATsConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], bias: Array, mask: Array | None) -> tuple[Array, Array]:
        """Signature for `nn.scan`: the output is the carry and is also stacked."""
        cfg, dtype, scale = self.config, self.dtype, self.config.residual_scale
        attended = GatedSelfAttention(cfg.encoder_attention_heads, dtype, name="attention")(x, bias, mask)
        self.sow("intermediates", "attention_out", attended)
        x = layer_norm(1e-5, "attention_norm")(x * scale + attended)
        hidden = FeedForward(cfg.encoder_ffn_embed_dim, dtype, name="mlp")(x)
        x = layer_norm(1e-5, "mlp_norm")(x * scale + hidden)
        return x, x


class BEATs(nn.Module):
    """Filter bank to hidden states. `dtype` is that of the products' inputs; all else is float32."""

    config: BEATsConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg, dtype, patch = self.config, self.dtype, self.config.input_patch_size
        self.patch_embedding = nn.Conv(
            cfg.embed_dim,
            (patch, patch),
            patch,
            "VALID",
            use_bias=cfg.conv_bias,
            dtype=dtype,
            conv_general_dilated=convolution,
        )
        self.patch_norm = layer_norm(1e-5)
        if cfg.embed_dim != cfg.encoder_embed_dim:
            self.projection = dense(cfg.encoder_embed_dim, dtype)
        self.position = PositionalConv(cfg.conv_pos, cfg.conv_pos_groups, dtype)
        self.encoder_norm = layer_norm(1e-5)
        shape = (cfg.num_buckets, cfg.encoder_attention_heads)
        self.relative_bias = self.param("relative_bias", nn.initializers.normal(0.02), shape)
        make = stack_layers(BEATsBlock, cfg.encoder_layers, num_broadcast=2, scan=self.scan_layers)
        self.blocks = make(cfg, dtype)
        if cfg.num_classes is not None:
            self.predictor = dense(cfg.num_classes, dtype)

    def __call__(self, fbank: Float[Array, "b t m"], mask: Array | None = None) -> Float[Array, "b L n d"]:
        """Hidden states of all layers, float32: index 0 is the input of layer 0, i the output of layer i - 1.

        `fbank` is normalised; tokens are ordered time, then frequency. `mask` [b n], true on real
        tokens: the others are zeroed and not attended to. Raises UserError if there is no whole patch.
        """
        cfg = self.config
        if min(fbank.shape[1:]) < cfg.input_patch_size:
            raise UserError(
                f"filter bank of {fbank.shape[1:]}: needs at least {cfg.input_patch_size} of each"
            )
        patches = self.patch_embedding(fbank[..., None])
        self.sow("intermediates", "patches", patches)
        x = self.patch_norm(patches.reshape(patches.shape[0], -1, cfg.embed_dim))
        self.sow("intermediates", "normed_patches", x)
        if cfg.embed_dim != cfg.encoder_embed_dim:
            x = self.projection(x)
        self.sow("intermediates", "projected", x)
        if mask is not None:
            x = jnp.where(mask[..., None], x, 0)
        position = self.position(x)
        self.sow("intermediates", "position_out", position)
        length = x.shape[1]
        buckets = relative_position_buckets(length, length, cfg.num_buckets, cfg.max_distance)
        bias = relative_bias(self.relative_bias, jnp.asarray(buckets))
        keys = None if mask is None else mask[:, None, None, :]
        return collect_layers(self.blocks, self.encoder_norm(x + position), bias, keys)

    def class_probabilities(
        self, last: Float[Array, "b n d"], mask: Array | None = None
    ) -> Float[Array, "b k"]:
        """Probabilities of the classifier's classes: sigmoid of the mean over (real) tokens, float32."""
        logits = self.predictor(last)
        weights = jnp.ones(logits.shape[:2]) if mask is None else mask.astype(jnp.float32)
        mean = (logits * weights[..., None]).sum(1) / weights.sum(1, keepdims=True)
        return jax.nn.sigmoid(mean)
