"""The speaker encoder of "Generalized End-to-End Loss for Speaker Verification" (Wan et al. 2018), for inference.

The layers are those of Resemblyzer, which adds a ReLU: all numbers of an embedding are positive.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.models.ge2e.config import GE2EConfig
from mtv_jax.ops.precision import dense, dot_float32
from mtv_jax.typing import Array, Float

_CONTRACT = (((1,), (0,)), ((), ()))


class LSTM(nn.Module):
    """A layer, with torch's gates: input, forget, cell, output, and a bias for each of the two products."""

    width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t d"]:
        """The hidden states, which begin with 0."""
        projected = dense(4 * self.width, self.dtype, "input")(x)
        shape = (self.width, 4 * self.width)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, shape[1:])

        def step(
            state: tuple[Float[Array, "b d"], Float[Array, "b d"]], inputs: Float[Array, "b e"]
        ) -> tuple[tuple[Float[Array, "b d"], Float[Array, "b d"]], Float[Array, "b d"]]:
            hidden, cell = state
            gates = inputs + dot_float32(hidden.astype(self.dtype), kernel, _CONTRACT) + bias
            take, keep, new, give = jnp.split(gates, 4, axis=-1)
            cell = nn.sigmoid(keep) * cell + nn.sigmoid(take) * jnp.tanh(new)
            hidden = nn.sigmoid(give) * jnp.tanh(cell)
            return (hidden, cell), hidden

        zeros = jnp.zeros((len(x), self.width), jnp.float32)
        _, states = jax.lax.scan(step, (zeros, zeros), projected.swapaxes(0, 1))
        return states.swapaxes(0, 1)


class GE2E(nn.Module):
    """Embeds voices."""

    config: GE2EConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, mels: Float[Array, "b t c"]) -> Float[Array, "b d"]:
        """Embeddings of length 1 of mel spectrograms; the product of two of them is the cosine of their angle."""
        x = mels
        for layer in range(self.config.num_layers):
            x = LSTM(self.config.width, self.dtype, name=f"lstm_{layer}")(x)
        raw = nn.relu(dense(self.config.embedding, self.dtype, "linear")(x[:, -1]))
        return raw / jnp.maximum(jnp.linalg.norm(raw, axis=-1, keepdims=True), 1e-12)
