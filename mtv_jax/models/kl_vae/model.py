"""The autoencoder of pictures: encoder and decoder, which code every frame alone."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.models.kl_vae.config import KLVAEConfig
from mtv_jax.models.vae3d.blocks import Downsample, FrameConv, Upsample
from mtv_jax.models.vae3d.latents import LatentScale
from mtv_jax.models.vae3d.model import VideoAutoencoder, quiet_moments
from mtv_jax.ops.attention import attention
from mtv_jax.ops.norms import GroupNorm
from mtv_jax.ops.precision import dense
from mtv_jax.typing import Array, Float


class ResBlock(nn.Module):
    """Two convolutions, each after a norm and SiLU, and a residual. Source: diffusers ResnetBlock2D."""

    channels: int
    groups: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n 1 H W c"]) -> Float[Array, "n 1 H W d"]:
        """Pictures with an axis of one frame, as the shared parts take them."""
        y = x
        for n in ("1", "2"):
            y = nn.silu(GroupNorm(self.groups, name=f"norm{n}")(y))
            y = FrameConv(self.channels, dtype=self.dtype, name=f"conv{n}")(y)
        if x.shape[-1] != self.channels:
            x = dense(self.channels, self.dtype, "shortcut")(x)
        return x + y


class Attention(nn.Module):
    """Attention of every cell to all cells of its picture, with one head, and a residual.

    Source: diffusers Attention.
    """

    groups: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n 1 h w c"]) -> Float[Array, "n 1 h w c"]:
        """Pictures with an axis of one frame."""
        channels = x.shape[-1]
        cells = GroupNorm(self.groups, name="norm")(x).reshape(len(x), -1, 1, channels)
        q, k, v = (dense(channels, self.dtype, name)(cells).astype(self.dtype) for name in "qkv")
        # No kernel of a GPU or TPU takes heads this wide.
        read = attention(q, k, v, backend="chunked")
        return x + dense(channels, self.dtype, "out")(read).reshape(x.shape)


class _Half(nn.Module):
    """What encoder and decoder have in common.

    They take no cache and give none: they have the signature of a half of `VideoAutoencoder`.
    """

    config: KLVAEConfig
    dtype: Any = jnp.float32

    def block(self, x: Array, channels: int, name: str) -> Array:
        """A residual block."""
        return ResBlock(channels, self.config.norm_num_groups, self.dtype, name=name)(x)

    def conv(self, x: Array, channels: int, name: str) -> Array:
        """A convolution."""
        return FrameConv(channels, dtype=self.dtype, name=name)(x)

    def middle(self, x: Array) -> Array:
        """The level of the fewest cells, with attention between its blocks."""
        x = self.block(x, x.shape[-1], "middle_0")
        x = Attention(self.config.norm_num_groups, self.dtype, name="middle_attention")(x)
        return self.block(x, x.shape[-1], "middle_1")

    def out(self, x: Array, channels: int) -> Array:
        """The last norm and convolution."""
        return self.conv(
            nn.silu(GroupNorm(self.config.norm_num_groups, name="norm_out")(x)), channels, "conv_out"
        )


class Encoder(_Half):
    """Frames to posterior moments. Source: diffusers Encoder and `quant_conv`."""

    @nn.compact
    def __call__(
        self, video: Float[Array, "b F H W c"], cache: None = None, lone_first: bool = True
    ) -> tuple[Float[Array, "b F h w z"], None]:
        """A chunk of frames."""
        config = self.config
        last = len(config.block_out_channels) - 1
        x = self.conv(as_pictures(video), config.block_out_channels[0], "conv_in")
        for level, channels in enumerate(config.block_out_channels):
            for i in range(config.layers_per_block):
                x = self.block(x, channels, f"level_{level}_block_{i}")
            if level < last:
                x = Downsample(False, self.dtype, name=f"level_{level}_down")(x, lone_first)
        moments = self.out(self.middle(x), 2 * config.latent_channels)
        moments = dense(2 * config.latent_channels, self.dtype, "quant", bias_init=quiet_moments)(moments)
        return as_video(moments, video), None


class Decoder(_Half):
    """Latents to frames. Source: diffusers `post_quant_conv` and Decoder."""

    @nn.compact
    def __call__(
        self, latents: Float[Array, "b f h w z"], cache: None = None, lone_first: bool = True
    ) -> tuple[Float[Array, "b f H W c"], None]:
        """A chunk of latents."""
        config = self.config
        widths = config.block_out_channels[::-1]
        x = dense(config.latent_channels, self.dtype, "quant")(as_pictures(latents))
        x = self.middle(self.conv(x, widths[0], "conv_in"))
        for level, channels in enumerate(widths):
            for i in range(config.layers_per_block + 1):
                x = self.block(x, channels, f"level_{level}_block_{i}")
            if level < len(widths) - 1:
                x = Upsample(False, self.dtype, name=f"level_{level}_up")(x, lone_first)
        return as_video(self.out(x, config.out_channels), latents), None


class AutoencoderKL(VideoAutoencoder):
    """The autoencoder of Stable Diffusion and VideoCrafter (diffusers AutoencoderKL) on the frames of videos.

    Convolutions and products multiply in `dtype`; everything else, and the results, are float32.
    """

    config: KLVAEConfig
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Creates encoder and decoder, which share no parameters."""
        self.encoder = Encoder(self.config, self.dtype)
        self.decoder = Decoder(self.config, self.dtype)

    @property
    def latent_scale(self) -> LatentScale:
        """The normalisation of latents."""
        return LatentScale(self.config.scaling_factor)


def as_pictures(video: Float[Array, "b f h w c"]) -> Float[Array, "n 1 h w c"]:
    """Every frame as a row, since norms take statistics over all frames of a row."""
    return video.reshape(-1, 1, *video.shape[2:])


def as_video(
    pictures: Float[Array, "n 1 h w c"], like: Float[Array, "b f _h _w _c"]
) -> Float[Array, "b f h w c"]:
    """The inverse of `as_pictures`, for the frames of `like`."""
    return pictures.reshape(*like.shape[:2], *pictures.shape[2:])
