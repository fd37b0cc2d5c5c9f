"""T5 v1.1 and UMT5 encoders: token ids to text embeddings."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from mtv_jax.models.t5.config import T5Config
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.precision import dense
from mtv_jax.ops.stack import run_stack, stack_layers
from mtv_jax.typing import Array, Float, Int


def relative_position_buckets(
    num_queries: int, num_keys: int, num_buckets: int, max_distance: int
) -> Int[np.ndarray, "n m"]:
    """The bucket of every (query, key) pair by `key - query` (T5, bidirectional; BEATs too).

    Half of the buckets are for keys after the query. In each half the first half counts single
    positions, the rest grows with the logarithm up to `max_distance`. Computed in float32, in the
    order of operations of the originals, since a bucket's edge may fall on a whole position.
    """
    distance = np.arange(num_keys)[None, :] - np.arange(num_queries)[:, None]
    half = num_buckets // 2
    exact = half // 2
    after = np.where(distance > 0, half, 0)
    distance = np.abs(distance)
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact))
    steps = ratio / np.float32(np.log(max_distance / exact)) * np.float32(half - exact)
    far = np.minimum(exact + steps.astype(np.int32), half - 1)
    return (after + np.where(distance < exact, distance, far)).astype(np.int32)


class SelfAttention(nn.Module):
    """Attention without biases and without 1/sqrt(d), a relative position bias added to the logits."""

    config: T5Config
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b l d"], buckets, bias, mask) -> Float[Array, "b l d"]:
        """`bias` [1 h l l] is given if layers share it; otherwise it is looked up by `buckets` [l l]."""
        cfg = self.config
        inner = cfg.num_heads * cfg.d_kv

        def project(name: str, dtype: Any, std: float) -> Array:
            return split_heads(_dense(inner, dtype, std, name)(x), cfg.num_heads)

        # Without 1/sqrt(d) logits are large, and rounding queries and keys would change the softmax most.
        q = project("q", jnp.float32, (cfg.d_model * cfg.d_kv) ** -0.5)
        k = project("k", jnp.float32, cfg.d_model**-0.5)
        v = project("v", self.dtype, cfg.d_model**-0.5).astype(self.dtype)
        if cfg.relative_bias_per_layer:
            bias = relative_bias(_bias_table(self, cfg), buckets)
        out = attention(q, k, v, mask=mask, bias=bias, scale=1.0)
        return _dense(cfg.d_model, self.dtype, inner**-0.5, "o")(merge_heads(out))


class GatedFeedForward(nn.Module):
    """`down(tanh-GELU(gate(x)) * up(x))`, without biases."""

    config: T5Config
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b l d"]) -> Float[Array, "b l d"]:
        """Applied to every token alike."""
        cfg = self.config

        gate = _dense(cfg.d_ff, self.dtype, cfg.d_model**-0.5, "gate")(x)
        up = _dense(cfg.d_ff, self.dtype, cfg.d_model**-0.5, "up")(x)
        hidden = nn.gelu(gate, approximate=True) * up
        return _dense(cfg.d_model, self.dtype, cfg.d_ff**-0.5, "down")(hidden)


class T5Block(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    config: T5Config
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b l d"], buckets, bias, mask) -> tuple[Array, None]:
        """Signature for `nn.scan`: the carry is the hidden states."""
        cfg, dtype = self.config, self.dtype
        normed = _rms_norm(cfg, "attention_norm")(x)
        x = x + SelfAttention(cfg, dtype, name="attention")(normed, buckets, bias, mask)
        x = x + GatedFeedForward(cfg, dtype, name="mlp")(_rms_norm(cfg, "mlp_norm")(x))
        return x, None


class T5Encoder(nn.Module):
    """Token ids to embeddings. `dtype` is that of the inputs of products, except queries and keys; everything
    else is float32.

    (A residual kept in bfloat16 costs as much precision as all the products.)
    """

    config: T5Config
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg = self.config
        self.embedding = self.param("embedding", _normal(1.0), (cfg.vocab_size, cfg.d_model))
        if not cfg.relative_bias_per_layer:
            self.relative_bias = _bias_table(self, cfg)
        make = stack_layers(T5Block, cfg.num_layers, num_broadcast=3, scan=self.scan_layers)
        self.blocks = make(cfg, self.dtype)
        self.final_norm = _rms_norm(cfg)

    def __call__(self, tokens: Int[Array, "b l"], mask: Array | None = None) -> Float[Array, "b l d"]:
        """Embeddings after the final norm, float32.

        `mask` [b l] is true (or 1) on real tokens; the others are not attended to. None attends to
        all, padding included, as CogVideoX does.
        """
        cfg = self.config
        x = jnp.take(self.embedding, tokens, axis=0).astype(jnp.float32)
        length = tokens.shape[1]
        buckets = jnp.asarray(
            relative_position_buckets(
                length, length, cfg.relative_attention_num_buckets, cfg.relative_attention_max_distance
            )
        )
        bias = None if cfg.relative_bias_per_layer else relative_bias(self.relative_bias, buckets)
        keys = None if mask is None else mask.astype(bool)[:, None, None, :]
        return self.final_norm(run_stack(self.blocks, x, buckets, bias, keys))


def relative_bias(table: Float[Array, "k h"], buckets: Int[Array, "n m"]) -> Float[Array, "1 h n m"]:
    """The bias of every head, query and key, looked up by bucket; in the table's float32."""
    return table[buckets].transpose(2, 0, 1)[None]


def _bias_table(module: nn.Module, cfg: T5Config) -> Array:
    shape = (cfg.relative_attention_num_buckets, cfg.num_heads)
    return module.param("relative_bias", _normal(cfg.d_model**-0.5), shape)


def _rms_norm(cfg: T5Config, name: str | None = None) -> nn.RMSNorm:
    return nn.RMSNorm(epsilon=cfg.layer_norm_epsilon, dtype=jnp.float32, name=name)


def _dense(features: int, dtype: Any, std: float, name: str) -> nn.Dense:
    """A product of `dtype` inputs with a float32 result."""
    return dense(features, dtype, name, use_bias=False, kernel_init=_normal(std))


def _normal(stddev: float) -> nn.initializers.Initializer:
    return nn.initializers.normal(stddev)
