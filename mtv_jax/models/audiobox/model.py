"""Audiobox-aesthetics: WavLM, and four heads on weighted sums of its layers (Tjandra et al., 2025)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.models.audiobox.config import AXES, AudioboxConfig
from mtv_jax.models.beats.model import GatedSelfAttention, reduce_mask
from mtv_jax.models.t5.model import relative_bias, relative_position_buckets
from mtv_jax.models.wav2vec2.model import FeedForward, PositionalConv, Wav2Vec2, collect_layers
from mtv_jax.ops.precision import dense, layer_norm
from mtv_jax.ops.stack import stack_layers
from mtv_jax.typing import Array, Bool, Float


class WavLMBlock(nn.Module):
    """wav2vec 2.0's post-norm layer with gated relative positions; the gate is of the layer's input."""

    config: AudioboxConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], bias: Array, mask: Array | None) -> tuple[Array, Array]:
        """Signature for `nn.scan`: the output is the carry and is also stacked."""
        cfg = self.config.encoder
        eps, heads = cfg.layer_norm_eps, cfg.num_attention_heads
        attend = GatedSelfAttention(heads, self.dtype, gate_from="input", name="attention")
        x = layer_norm(eps, "attention_norm")(x + attend(x, bias, mask))
        hidden = FeedForward(cfg.intermediate_size, self.dtype, name="mlp")(x)
        x = layer_norm(eps, "mlp_norm")(x + hidden)
        return x, x


class Head(nn.Module):
    """The rating of one axis from all layers' frames; modules are numbered as in a checkpoint."""

    config: AudioboxConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, layers: Float[Array, "b L n d"], real: Bool[Array, "b n"]) -> Float[Array, "b"]:
        """In units of the standard deviation of the ratings. `real` is true on frames of the sound."""
        cfg = self.config
        weights = self.param(
            "layer_weights", nn.initializers.constant(1 / layers.shape[1]), layers.shape[1:2]
        )
        frames = jnp.einsum("blnd,l->bnd", layers, jax.nn.softmax(weights))
        count = jnp.maximum(real.sum(1, keepdims=True), 1)
        x = jnp.where(real[..., None], frames, 0).sum(1) / count
        if cfg.normalize_embed:
            x = x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
        for i in range(cfg.proj_num_layer - 1):
            x = dense(x.shape[-1], self.dtype, f"linear_{i * cfg.stride}")(x)
            if cfg.proj_ln:
                x = layer_norm(1e-5, f"norm_{i * cfg.stride + 1}")(x)
            x = nn.gelu(x, approximate=False)
        last = (cfg.proj_num_layer - 1) * cfg.stride
        return dense(1, self.dtype, f"linear_{last}")(x)[:, 0]


class Audiobox(nn.Module):
    """Waveform to ratings. `dtype` is that of the inputs of the layers' products; everything else is float32."""

    config: AudioboxConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg, dtype = self.config.encoder, self.dtype
        self.features = Wav2Vec2(cfg, dtype)  # of which only the convolutions are used, and have parameters
        self.feature_norm = layer_norm(cfg.layer_norm_eps)
        self.projection = dense(cfg.hidden_size, dtype)
        self.position = PositionalConv(cfg.num_conv_pos_embeddings, cfg.num_conv_pos_embedding_groups, dtype)
        self.encoder_norm = layer_norm(cfg.layer_norm_eps)
        shape = (self.config.num_buckets, cfg.num_attention_heads)
        self.relative_bias = self.param("relative_bias", nn.initializers.normal(0.02), shape)
        make = stack_layers(WavLMBlock, cfg.num_hidden_layers, num_broadcast=2, scan=self.scan_layers)
        self.blocks = make(self.config, dtype)
        self.heads = [Head(self.config, dtype, name=f"head_{axis}") for axis in AXES]

    def __call__(
        self, waveform: Float[Array, "b s"], mask: Bool[Array, "b s"] | None = None
    ) -> Float[Array, "b 4"]:
        """Ratings, float32, by `AXES`, about 1 to 10.

        `waveform` is mono at 16 kHz, of at most 10 s each; `mask` is true on samples of the sound, not of padding.
        """
        features = self.features.conv_features(waveform)
        length = features.shape[1]
        x = self.projection(self.feature_norm(features))
        real = jnp.ones(x.shape[:2], bool) if mask is None else reduce_mask(mask, length)
        layers = self._layers(jnp.where(real[..., None], x, 0), real)
        ratings = jnp.stack([head(layers, real) for head in self.heads], axis=1)
        return ratings * jnp.array(self.config.stds) + jnp.array(self.config.means)

    def _layers(self, x: Float[Array, "b n d"], real: Bool[Array, "b n"]) -> Float[Array, "b L n d"]:
        cfg, length = self.config, x.shape[1]
        buckets = relative_position_buckets(length, length, cfg.num_buckets, cfg.max_distance)
        bias = relative_bias(self.relative_bias, jnp.asarray(buckets))
        start = self.encoder_norm(x + self.position(x))
        return collect_layers(self.blocks, start, bias, real[:, None, None, :])
