"""The Condition Injection Module: learned queries that read the tokens of a segment of sound.

Source: kuai-lab/eaai25_complex_A2V `AudioResampler`, a perceiver like the resamplers of IP-Adapter and Flamingo.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.cim.config import CIMConfig
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.precision import dense, layer_norm
from mtv_jax.ops.stack import run_stack, stack_layers
from mtv_jax.typing import Array, Float

_EPS = 1e-5


class PerceiverAttention(nn.Module):
    """Attention of the latents to the sound and to themselves. Queries, keys, values and output have no bias."""

    config: CIMConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, latents: Float[Array, "b q d"], sound: Float[Array, "b n d"]) -> Float[Array, "b q d"]:
        """What is added to `latents`."""
        cfg = self.config
        sound, latents = layer_norm(_EPS, "sound_norm")(sound), layer_norm(_EPS, "latents_norm")(latents)
        both = jnp.concatenate([sound, latents], axis=1)

        def heads(name: str, x: Array) -> Array:
            wide = dense(cfg.heads * cfg.dim_head, self.dtype, name, use_bias=False)(x)
            return split_heads(wide, cfg.heads).astype(self.dtype)

        read = attention(heads("q", latents), heads("k", both), heads("v", both))
        return dense(latents.shape[-1], self.dtype, "out", use_bias=False)(merge_heads(read))


class FeedForward(nn.Module):
    """Norm, Linear, GELU (by the error function), Linear; no bias."""

    config: CIMConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b q d"]) -> Float[Array, "b q d"]:
        """What is added to `x`."""
        width = x.shape[-1]
        x = dense(self.config.ff_mult * width, self.dtype, "up", use_bias=False)(layer_norm(_EPS, "norm")(x))
        return dense(width, self.dtype, "down", use_bias=False)(nn.gelu(x, approximate=False))


class Layer(nn.Module):
    """Attention and feed-forward, each added to its input."""

    config: CIMConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, latents: Float[Array, "b q d"], sound: Float[Array, "b n d"]) -> tuple[Array, None]:
        """Signature for `nn.scan`: the carry is the latents."""
        read = PerceiverAttention(self.config, self.dtype, name="attention")(latents, sound)
        self.sow("intermediates", "attention_branch", read)
        latents = latents + read
        further = FeedForward(self.config, self.dtype, name="mlp")(latents)
        self.sow("intermediates", "mlp_branch", further)
        return latents + further, None


class ConditionInjectionModule(nn.Module):
    """Tokens of a segment of sound to `num_queries` tokens that take the place of text tokens.

    `dtype` is that of the products' inputs; everything else is float32.
    """

    config: CIMConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self) -> None:
        """Creates the submodules; called by Flax."""
        cfg = self.config
        scale = nn.initializers.normal(cfg.dim**-0.5)
        self.latents = self.param("latents", scale, (cfg.num_queries, cfg.dim))
        self.proj_in = dense(cfg.dim, self.dtype)
        make = stack_layers(Layer, cfg.depth, num_broadcast=1, scan=self.scan_layers)
        self.blocks = make(cfg, self.dtype)
        self.proj_out = dense(cfg.output_dim, self.dtype)
        self.norm_out = layer_norm(_EPS)

    def __call__(self, sound: Float[Array, "b n c"]) -> Float[Array, "b q d"]:
        """The tokens of each segment, float32.

        `sound` is ImageBind's audio trunk, before its head (`ImageBind.encode_audio(...).tokens`), a segment a row.
        Raises UserError for tokens of another width.
        """
        cfg = self.config
        if sound.shape[-1] != cfg.embedding_dim:
            raise UserError(
                f"sound tokens of width {sound.shape[-1]}: this network takes {cfg.embedding_dim}, those of "
                "ImageBind's audio trunk"
            )
        sound = self.proj_in(sound)
        self.sow("intermediates", "sound", sound)
        latents = jnp.broadcast_to(self.latents, (len(sound), *self.latents.shape)).astype(jnp.float32)
        out = self.proj_out(run_stack(self.blocks, latents, sound))
        self.sow("intermediates", "projected", out)
        return self.norm_out(out)
