"""wav2vec 2.0: a waveform to the hidden states of every layer, at about 50 Hz or per video frame."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.models.wav2vec2.config import Wav2Vec2Config
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.block_conv import strided_conv1d
from mtv_jax.ops.precision import convolution, dense, layer_norm
from mtv_jax.ops.stack import stack_layers
from mtv_jax.typing import Array, Float, Int

_ROUNDED_CONVOLUTIONS = (1, 2)
"""Those of the waveform's convolutions whose inputs may be rounded to `dtype`."""


def interpolate_frames(x: Float[Array, "b t c"], num_frames: int) -> Float[Array, "b F c"]:
    """Linear interpolation along time with the corners aligned: first on first, last on last frame."""
    length = x.shape[1]
    position = np.arange(num_frames) * ((length - 1) / max(num_frames - 1, 1))
    left = np.minimum(position.astype(np.int32), length - 1)
    return _between(x, jnp.asarray(left), jnp.asarray(position - left, jnp.float32))


def interpolate_at(x: Float[Array, "b t c"], positions: Float[Array, "F"]) -> Float[Array, "b F c"]:
    """Linear interpolation along time at fractional indices; constant beyond the ends."""
    positions = jnp.clip(positions, 0, x.shape[1] - 1)
    left = positions.astype(jnp.int32)
    return _between(x, left, positions - left)


def _between(
    x: Float[Array, "b t c"], left: Int[Array, "F"], weight: Float[Array, "F"]
) -> Float[Array, "b F c"]:
    right = jnp.minimum(left + 1, x.shape[1] - 1)
    return x[:, left] * (1 - weight[:, None]) + x[:, right] * weight[:, None]


class PositionalConv(nn.Module):
    """Grouped convolution over time whose weight is normalised per tap, then exact GELU.

    The weight is `g * v / ||v||`, the norm over inputs and outputs for every tap; direction and
    length are stored separately, as in the original checkpoints. BEATs has the same layer.
    """

    kernel_size: int
    groups: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """The position embedding to add to `x`; of the same length."""
        k, width = self.kernel_size, x.shape[-1]
        inputs = width // self.groups
        std = 2 * (k * width) ** -0.5
        v = self.param("weight_v", nn.initializers.normal(std), (k, inputs, width))
        g = self.param("weight_g", nn.initializers.constant(std * (inputs * width) ** 0.5), (k, 1, 1))
        bias = self.param("bias", nn.initializers.zeros, (width,))
        kernel = g * v / jnp.sqrt(jnp.sum(v * v, axis=(1, 2), keepdims=True))
        y = convolution(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            window_strides=(1,),
            padding=[(k // 2, k - 1 - k // 2)],
            dimension_numbers=("NWC", "WIO", "NWC"),
            feature_group_count=self.groups,
        )
        return nn.gelu(y + bias, approximate=False)


class SelfAttention(nn.Module):
    """Multi-head self-attention with biases."""

    config: Wav2Vec2Config
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """Every frame attends to all."""
        q, k, v = (
            split_heads(dense(x.shape[-1], self.dtype, name)(x), self.config.num_attention_heads)
            for name in ("q", "k", "v")
        )
        return dense(x.shape[-1], self.dtype, "out")(merge_heads(attention(q, k, v.astype(self.dtype))))


class FeedForward(nn.Module):
    """Linear, exact GELU, Linear."""

    inner: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """Applied to every frame alike."""
        hidden = nn.gelu(dense(self.inner, self.dtype, "up")(x), approximate=False)
        return dense(x.shape[-1], self.dtype, "down")(hidden)


class Wav2Vec2Block(nn.Module):
    """A transformer layer, its norms after (base) or before (stable) attention and feed-forward."""

    config: Wav2Vec2Config
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> tuple[Array, Array]:
        """Signature for `nn.scan`: the output is the carry and is also stacked."""
        cfg, dtype = self.config, self.dtype
        attend = SelfAttention(cfg, dtype, name="attention")
        mlp = FeedForward(cfg.intermediate_size, dtype, name="mlp")
        norm, mlp_norm = (layer_norm(cfg.layer_norm_eps, n) for n in ("attention_norm", "mlp_norm"))
        if cfg.do_stable_layer_norm:
            x = x + attend(norm(x))
            x = x + mlp(mlp_norm(x))
        else:
            x = norm(x + attend(x))
            x = mlp_norm(x + mlp(x))
        return x, x


class Wav2Vec2(nn.Module):
    """Waveform to hidden states. `dtype` is that of the inputs of the layers' products; everything else is float32.

    Of the seven convolutions that read the waveform only the second and the third, three quarters of their
    work, take inputs of `dtype`: rounding all of them would cost more precision than all later layers.
    """

    config: Wav2Vec2Config
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg, dtype = self.config, self.dtype
        self.conv = [
            nn.Conv(
                width,
                (kernel,),
                stride,
                "VALID",
                use_bias=cfg.conv_bias,
                dtype=dtype if i in _ROUNDED_CONVOLUTIONS else jnp.float32,
                conv_general_dilated=strided_conv1d,
            )
            for i, (width, kernel, stride) in enumerate(
                zip(cfg.conv_dim, cfg.conv_kernel, cfg.conv_stride, strict=True)
            )
        ]
        if cfg.feat_extract_norm == "group":  # as many groups as channels: over time, each channel alone
            self.conv_norm = [nn.InstanceNorm(epsilon=1e-5, use_fast_variance=False)]
        else:
            self.conv_norm = [layer_norm(1e-5) for _ in cfg.conv_dim]
        self.feature_norm = layer_norm(cfg.layer_norm_eps)
        self.feature_projection = dense(cfg.hidden_size, dtype)
        if cfg.mask_embedding:
            self.mask_embedding = self.param(
                "mask_embedding", nn.initializers.uniform(1.0), (cfg.hidden_size,)
            )
        self.position = PositionalConv(cfg.num_conv_pos_embeddings, cfg.num_conv_pos_embedding_groups, dtype)
        self.encoder_norm = layer_norm(cfg.layer_norm_eps)
        make = stack_layers(Wav2Vec2Block, cfg.num_hidden_layers, num_broadcast=0, scan=self.scan_layers)
        self.blocks = make(cfg, dtype)

    def __call__(
        self,
        waveform: Float[Array, "b s"],
        num_frames: int | None = None,
        positions: Float[Array, "F"] | None = None,
    ) -> Float[Array, "b L n d"]:
        """Hidden states of all layers, float32: index 0 is the input of layer 0, i the output of layer i - 1.

        `waveform` is 16 kHz, already normalised. Before their projection the features of the convolutions, about 50
        a second, are interpolated to `num_frames` frames (MTV: the first on the first, the last on the last), or at
        `positions`, which are fractional indices into them; by default they are not. Raises UserError if the waveform
        is shorter than one frame.
        """
        x = self.conv_features(waveform)
        self.sow("intermediates", "conv_features", x)
        if num_frames is not None:
            x = interpolate_frames(x, num_frames)
            self.sow("intermediates", "interpolated", x)
        elif positions is not None:
            x = interpolate_at(x, positions)
        x = self.feature_projection(self.feature_norm(x))
        self.sow("intermediates", "projected", x)
        x = x + self.position(x)
        if not self.config.do_stable_layer_norm or self.is_initializing():
            x = self.encoder_norm(x)  # stable: used by `last_hidden_state`, but created here
        return collect_layers(self.blocks, x)

    def last_hidden_state(self, hidden_states: Float[Array, "b L n d"]) -> Float[Array, "b n d"]:
        """The last layer's output, after the encoder's final norm (stable layer norm only)."""
        last = hidden_states[:, -1]
        return self.encoder_norm(last) if self.config.do_stable_layer_norm else last

    def conv_features(self, waveform: Float[Array, "b s"]) -> Float[Array, "b t c"]:
        """The features of the convolutions."""
        shortest = self.config.receptive_field
        if waveform.shape[1] < shortest:
            raise UserError(f"sound of {waveform.shape[1]} samples: wav2vec2 needs at least {shortest}")
        x = waveform[..., None]
        for i, conv in enumerate(self.conv):
            x = conv(x)
            if i < len(self.conv_norm):
                x = self.conv_norm[i](x)
            x = nn.gelu(x, approximate=False)
        return x


def collect_layers(stack: Any, x: Float[Array, "b n d"], *broadcast: Any) -> Float[Array, "b L n d"]:
    """`x` and the output of every layer of what `stack_layers` made, on axis 1."""
    if isinstance(stack, (list, tuple)):
        outputs = [x]
        for layer in stack:
            outputs.append(layer(outputs[-1], *broadcast)[1])
        return jnp.stack(outputs, axis=1)
    _, outputs = stack(x, *broadcast)
    return jnp.moveaxis(jnp.concatenate([x[None], outputs]), 0, 1)
