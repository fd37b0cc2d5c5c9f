"""VideoCrafter's UNet: Stable Diffusion's with parts over time, a frame rate, and attention after the first layer."""

import jax.numpy as jnp

from mtv_jax.models.dit.embed import TimeEmbedding
from mtv_jax.models.unet import UNet
from mtv_jax.models.unet.transformer import TemporalTransformer
from mtv_jax.models.videocrafter.config import VideoCrafterConfig
from mtv_jax.typing import Array, Float

DEFAULT_FPS = 16.0
"""Frame rate of a call without one (the original's default)."""
FIRST_HEADS = 8
"""Heads of the attention after the first convolution, at any width (a constant of the original)."""


class VideoCrafterUNet(UNet):
    """`UNet` of videos of any number of frames; `Conditions.fps` is their rate, which adds to the time's embedding."""

    config: VideoCrafterConfig

    def embed(self, timesteps: Float[Array, "b"], fps: Float[Array, "b"] | None) -> Float[Array, "b e"]:
        """The sum of the timestep's and the frame rate's embeddings."""
        if fps is None:
            fps = jnp.full(timesteps.shape, DEFAULT_FPS)
        width = self.config.block_out_channels[0]
        rate = TimeEmbedding(width, 4 * width, self.dtype, name="fps_embedding")(fps)
        return super().embed(timesteps, fps) + rate

    def enter(self, x: Float[Array, "n h w c"], clips: int) -> Float[Array, "n h w d"]:
        """The first convolution, then attention over time."""
        cfg = self.config
        first = TemporalTransformer(
            FIRST_HEADS,
            cfg.attention_head_dim,
            cfg.norm_num_groups,
            conv=True,
            dtype=self.dtype,
            name="temporal_in",
        )
        return first(super().enter(x, clips), clips)
