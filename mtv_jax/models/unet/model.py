"""The UNet of latent diffusion: layers of falling and rising resolution, joined by skip connections.

The same modules make up SD 2.1's UNet, which takes frames as pictures of their own, and VideoCrafter's, whose layers
also have parts over time (`UNetConfig.temporal`).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.mosaic.contexts import Contexts, contexts
from mtv_jax.io.errors import UserError
from mtv_jax.models.dit.embed import TimeEmbedding
from mtv_jax.models.unet.blocks import Downsample, ResBlock, TemporalConv, Upsample, conv
from mtv_jax.models.unet.config import UNetConfig
from mtv_jax.models.unet.transformer import SpatialTransformer, TemporalTransformer
from mtv_jax.ops.mesh import constrain_batch
from mtv_jax.ops.norms import GroupNorm
from mtv_jax.ops.stack import layer_input, rematerialised
from mtv_jax.typing import Array, Float

# Each is traced once for each shape: a UNet has many of them, and few shapes.
_Residual, _Spatial = nn.jit(ResBlock), nn.jit(SpatialTransformer)
_TemporalConv = nn.jit(TemporalConv, static_argnums=2)
_Temporal = nn.jit(TemporalTransformer, static_argnums=2)


class Layer(nn.Module):
    """A residual block and, with `attention`, a transformer over the cells; each followed by its part over time."""

    config: UNetConfig
    channels: int
    attention: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], time: Float[Array, "b e"], context: Contexts
    ) -> Float[Array, "n h w d"]:
        """Frames `x` of b clips, the embeddings of the clips' times, and what their cells attend to."""
        cfg, clips = self.config, len(time)
        groups, eps = cfg.norm_num_groups, cfg.norm_eps
        x = layer_input(x)
        rows = jnp.repeat(time, len(x) // clips, axis=0)
        x = _Residual(self.channels, groups, eps, self.dtype, name="res")(x, rows)
        if cfg.temporal:
            x = _TemporalConv(groups, eps, self.dtype, name="temporal_conv")(x, clips)
        x = constrain_batch(x)
        if self.attention:
            head = cfg.attention_head_dim
            heads, layers = self.channels // head, cfg.transformer_layers
            spatial = _Spatial(heads, head, layers, groups, self.dtype, name="spatial")
            x = constrain_batch(spatial(x, context))
            if cfg.temporal:
                x = _Temporal(heads, head, groups, dtype=self.dtype, name="temporal")(x, clips)
        return x


class UNet(nn.Module):
    """Noised latents, timestep, and text or sources' tokens to the prediction of the noise.

    `dtype` is that of the inputs of matrix products and convolutions (and of the feed-forward's activations); norms,
    softmax, embeddings of the time and hidden states are float32.
    """

    config: UNetConfig
    dtype: Any = jnp.float32
    remat: str = "none"

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the audio tracks that it always takes: none. Those that it is given are sources of any name."""
        return ()

    def __call__(
        self, latents: Float[Array, "b f h w c"], timesteps: Float[Array, "b"], conditions: Conditions
    ) -> Float[Array, "b f h w o"]:
        """Raw prediction (epsilon) of the noised `latents`, in float32.

        Tokens of sources, `conditions.tracks` [b f q d], are put in place of the text's (`mtv_jax.diffusion.mosaic`).
        Raises UserError if height or width is not a multiple of `config.patch_size`, and for keyframes or an image.
        """
        if conditions.clean_mask is not None or conditions.image is not None:
            raise UserError("keyframes or an image: a UNet takes neither")
        context = contexts(conditions, timesteps)
        if context is None:
            text, (b, f) = conditions.text, latents.shape[:2]
            context = Contexts(jnp.broadcast_to(text[:, None], (b, f, *text.shape[1:])))
        return self.denoise(latents, timesteps, context, conditions.fps)

    @nn.compact
    def denoise(
        self,
        latents: Float[Array, "b f h w c"],
        timesteps: Float[Array, "b"],
        context: Contexts,
        fps: Float[Array, "b"] | None = None,
    ) -> Float[Array, "b f h w o"]:
        """As `__call__`, given what the cells of each frame attend to."""
        cfg, (b, f, h, w, c) = self.config, latents.shape
        if h % cfg.patch_size or w % cfg.patch_size:
            raise UserError(f"latents of {h} x {w}: must be divisible by {cfg.patch_size}")
        time = constrain_batch(self.embed(timesteps, fps))
        x = self.enter(constrain_batch(latents.reshape(b * f, h, w, c)), b)
        x = self._layers(x, time, context)
        x = nn.silu(GroupNorm(cfg.norm_num_groups, cfg.norm_eps, name="norm_out")(x))
        return conv(cfg.out_channels, self.dtype, "conv_out")(x).reshape(b, f, h, w, -1)

    def embed(self, timesteps: Float[Array, "b"], fps: Float[Array, "b"] | None) -> Float[Array, "b e"]:
        """The embedding of the time, four times as wide as the first level. `fps` has no part in it here."""
        del fps
        width = self.config.block_out_channels[0]
        return TimeEmbedding(width, 4 * width, self.dtype, name="time_embedding")(timesteps)

    def enter(self, x: Float[Array, "n h w c"], clips: int) -> Float[Array, "n h w d"]:
        """The first convolution, of the frames of all clips."""
        del clips
        return conv(self.config.block_out_channels[0], self.dtype, "conv_in")(x)

    def _layers(self, x: Array, time: Array, context: Contexts) -> Array:
        """All layers, down and up. On the way up each gets the output of its counterpart beside its input."""
        cfg, make = self.config, rematerialised(Layer, self.remat)
        last = cfg.num_levels - 1

        def layer(x: Array, level: int, attention: bool, name: str) -> Array:
            part = make(cfg, cfg.block_out_channels[level], attention, self.dtype, name=name)
            return part(x, time, context)

        skips = [x]
        for level in range(cfg.num_levels):
            for block in range(cfg.layers_per_block):
                x = layer(x, level, cfg.attention_levels[level], f"down_{level}_{block}")
                skips.append(x)
            if level < last:
                x = Downsample(self.dtype, name=f"downsample_{level}")(x)
                skips.append(x)
        x = layer(layer(x, last, True, "middle_0"), last, False, "middle_1")
        for number, level in enumerate(reversed(range(cfg.num_levels))):
            for block in range(cfg.layers_per_block + 1):
                x = jnp.concatenate([x, skips.pop()], axis=-1)
                x = layer(x, level, cfg.attention_levels[level], f"up_{number}_{block}")
            if level > 0:
                x = Upsample(self.dtype, name=f"upsample_{number}")(x)
        return x
