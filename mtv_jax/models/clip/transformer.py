"""The pre-norm transformer of CLIP and its relatives (OpenCLIP, VideoCLIP-XL)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.precision import dense, layer_norm
from mtv_jax.ops.stack import stack_layers
from mtv_jax.typing import Array, Float


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of a stack of `Block`.

    Attributes:
      hidden_size: width of a token.
      intermediate_size: width inside the feed-forward.
      hidden_act: its activation; OpenAI's networks have `quick_gelu`, most of OpenCLIP's `gelu`.
      layer_norm_eps: of all layer norms.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    hidden_act: Literal["quick_gelu", "gelu"] = "quick_gelu"
    layer_norm_eps: float = 1e-5

    def __post_init__(self):
        check_network(self)
        if self.hidden_size % self.num_attention_heads:
            raise UserError(
                f"hidden_size {self.hidden_size}: must be divisible by {self.num_attention_heads} heads"
            )


def quick_gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`x sigmoid(1.702 x)`, OpenAI's approximation of GELU."""
    return x * jax.nn.sigmoid(1.702 * x)


def exact_gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """GELU by the error function."""
    return nn.gelu(x, approximate=False)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"quick_gelu": quick_gelu, "gelu": exact_gelu}


class SelfAttention(nn.Module):
    """Multi-head self-attention with biases."""

    heads: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], mask: Array | None = None) -> Float[Array, "b n d"]:
        """`mask` (true = attend) broadcasts to `b h n n`."""
        width = x.shape[-1]
        q, k, v = (
            split_heads(dense(width, self.dtype, name)(x), self.heads).astype(self.dtype) for name in "qkv"
        )
        return dense(width, self.dtype, "out")(merge_heads(attention(q, k, v, mask=mask)))


class FeedForward(nn.Module):
    """Linear, activation, Linear."""

    inner: int
    activation: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """Applied to every token alike."""
        hidden = ACTIVATIONS[self.activation](dense(self.inner, self.dtype, "up")(x))
        return dense(x.shape[-1], self.dtype, "down")(hidden)


class Block(nn.Module):
    """Attention and feed-forward, each after a norm and added to its input."""

    config: TransformerConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], mask: Array | None) -> tuple[Array, None]:
        """Signature for `nn.scan`: the carry is the hidden states."""
        cfg, dtype = self.config, self.dtype
        normed = layer_norm(cfg.layer_norm_eps, "attention_norm")(x)
        x = x + SelfAttention(cfg.num_attention_heads, dtype, name="attention")(normed, mask)
        normed = layer_norm(cfg.layer_norm_eps, "mlp_norm")(x)
        x = x + FeedForward(cfg.intermediate_size, cfg.hidden_act, dtype, name="mlp")(normed)
        self.sow("intermediates", "output", x)
        return x, None


def make_blocks(config: TransformerConfig, dtype: Any, *, scan: bool) -> Any:
    """The layers, for `mtv_jax.ops.stack.run_stack(blocks, x, mask)`. Call it in `setup`, as `self.blocks`."""
    return stack_layers(Block, config.num_hidden_layers, num_broadcast=1, scan=scan)(config, dtype)
