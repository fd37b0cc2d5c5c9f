"""The causal 3D autoencoder: encoder, decoder, and chunking over time."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.vae3d.blocks import (
    Cache,
    CausalConv,
    Downsample,
    ResBlock,
    SpatialNorm,
    Upsample,
)
from mtv_jax.models.vae3d.config import AutoencoderConfig, VAE3DConfig
from mtv_jax.models.vae3d.latents import LatentScale
from mtv_jax.ops.norms import GroupNorm
from mtv_jax.typing import Array, Float

ENCODE_CHUNK = 8
"""Pixel frames per chunk in diffusers' encoder."""
DECODE_CHUNK = 2
"""Latent frames per chunk in diffusers' decoder."""


class Encoder(nn.Module):
    """Video to posterior moments [b f h w 2z]. Source: diffusers CogVideoXEncoder3D."""

    config: VAE3DConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b F H W c"], cache: Cache | None, lone_first: bool
    ) -> tuple[Float[Array, "b f h w z"], Cache]:
        """One chunk of frames, given the caches of the chunk before."""
        config, new = self.config, {}
        past = cache or {}
        sizes = config.norm_num_groups, config.norm_eps, config.temporal_kernel_size

        def conv(x: Array, channels: int, name: str, **options: Any) -> Array:
            part = CausalConv(channels, config.temporal_kernel_size, dtype=self.dtype, name=name, **options)
            x, new[name] = part(x, past.get(name))
            return x

        def block(x: Array, channels: int, name: str) -> Array:
            part = ResBlock(channels, *sizes, self.dtype, name=name)
            x, new[name] = part(x, past.get(name))
            return x

        x = conv(x, config.block_out_channels[0], "conv_in")
        last = len(config.block_out_channels) - 1
        for level, channels in enumerate(config.block_out_channels):
            for i in range(config.layers_per_block):
                x = block(x, channels, f"level_{level}_block_{i}")
            if level < last:
                halves_time = level < config.temporal_levels
                x = Downsample(halves_time, self.dtype, name=f"level_{level}_down")(x, lone_first)
        for i in range(2):
            x = block(x, config.block_out_channels[-1], f"middle_{i}")
        x = nn.silu(GroupNorm(config.norm_num_groups, name="norm_out")(x))
        return conv(x, 2 * config.latent_channels, "conv_out", bias_init=quiet_moments), new


def quiet_moments(_key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Biases for mean 0 and log variance -6: at 0, noise would dominate the output of an untrained encoder."""
    return jnp.repeat(jnp.array([0.0, -6.0], dtype), shape[0] // 2)


class Decoder(nn.Module):
    """Latents to video. Source: diffusers CogVideoXDecoder3D."""

    config: VAE3DConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "b f h w z"], cache: Cache | None, lone_first: bool
    ) -> tuple[Float[Array, "b F H W c"], Cache]:
        """One chunk of latents, given the caches of the chunk before."""
        config, new = self.config, {}
        past = cache or {}
        sizes = config.norm_num_groups, config.norm_eps, config.temporal_kernel_size
        widths = config.block_out_channels[::-1]

        def conv(x: Array, channels: int, name: str) -> Array:
            part = CausalConv(channels, config.temporal_kernel_size, dtype=self.dtype, name=name)
            x, new[name] = part(x, past.get(name))
            return x

        def block(x: Array, channels: int, name: str) -> Array:
            part = ResBlock(channels, *sizes, self.dtype, name=name)
            x, new[name] = part(x, past.get(name), z, lone_first)
            return x

        x = conv(z, widths[0], "conv_in")
        for i in range(2):
            x = block(x, widths[0], f"middle_{i}")
        for level, channels in enumerate(widths):
            for i in range(config.layers_per_block + 1):
                x = block(x, channels, f"level_{level}_block_{i}")
            if level < len(widths) - 1:
                doubles_time = level < config.temporal_levels
                x = Upsample(doubles_time, self.dtype, name=f"level_{level}_up")(x, lone_first)
        x = SpatialNorm(config.norm_num_groups, name="norm_out")(x, z, lone_first)
        return conv(nn.silu(x), config.out_channels, "conv_out"), new


class VideoAutoencoder(nn.Module):
    """An autoencoder of video, coded in chunks of time.

    A subclass gives `latent_scale` and creates `encoder` and `decoder` in `setup`: modules that are called with a
    chunk as `(frames or latents, cache or None, lone_first) -> (moments or frames, cache)`. Call the methods by
    `model.apply(params, video, method="encode")`. Latents are those of the autoencoder: `normalise` them for a
    denoiser, and `denormalise` its output before decoding.
    """

    config: Any
    dtype: Any = jnp.float32

    @property
    def latent_scale(self) -> LatentScale:
        """The normalisation of latents."""
        raise NotImplementedError

    @nn.nowrap
    def normalise(self, latents: Float[Array, "b f h w z"]) -> Float[Array, "b f h w z"]:
        """Normalises latents for a denoiser; needs no parameters."""
        return self.latent_scale.normalise(latents)

    @nn.nowrap
    def denormalise(self, latents: Float[Array, "b f h w z"]) -> Float[Array, "b f h w z"]:
        """The inverse of `normalise`."""
        return self.latent_scale.denormalise(latents)

    def __call__(self, video: Float[Array, "b F H W 3"]) -> Float[Array, "b F H W 3"]:
        """Encodes `video` and decodes the posterior mean; initialises all parameters."""
        mean, _ = self.encode(video)
        return self.decode(mean)

    def encode(
        self, video: Float[Array, "b F H W c"], frames_per_chunk: int | None = ENCODE_CHUNK
    ) -> tuple[Float[Array, "b f h w z"], Float[Array, "b f h w z"]]:
        """Mean and log-variance of the posterior of a video in [-1, 1], with F = 1+rk and f = 1+k; r is the
        config's `temporal_compression_ratio`, 4 in CogVideoX.

        Group norms are computed per chunk: `frames_per_chunk` is 8 in diffusers (the first chunk includes the
        remainder), None encodes all frames at once as MTV does.
        Raises UserError for another number of frames, and if height or width are not multiples of the cell size (8).
        """
        check_video_shape(video.shape, self.config)
        check_encode_chunk(frames_per_chunk, self.config)
        return split_moments(_in_chunks(self.encoder, video, frames_per_chunk, lone_first=True))

    def decode(
        self,
        latents: Float[Array, "b f h w z"],
        frames_per_chunk: int | None = DECODE_CHUNK,
        lone_first: bool = True,
    ) -> Float[Array, "b F H W 3"]:
        """The video of (unscaled) latents, about in [-1, 1], F = 1 + r(f-1) frames (see `encode`).

        `frames_per_chunk` counts latent frames: 2 as in diffusers (the first chunk includes the remainder),
        None for all at once. diffusers decodes the first latent to one frame only if its chunk has an odd
        length, so an even number of latents gives rf frames: `lone_first=False` does the same; for an odd
        number (and chunks of 2) there is no difference.
        """
        if frames_per_chunk is not None and frames_per_chunk < 1:
            raise UserError(f"frames_per_chunk {frames_per_chunk}: must be at least 1")
        return _in_chunks(self.decoder, latents, frames_per_chunk, lone_first)

    def encode_chunk(
        self, video: Float[Array, "b F H W 3"], cache: Cache | None
    ) -> tuple[tuple[Float[Array, "b f h w z"], Float[Array, "b f h w z"]], Cache | None]:
        """One chunk of `encode`: 1+rk frames without a cache, then rk frames with the one returned before."""
        moments, cache = self.encoder(video, cache, lone_first=cache is None)
        return split_moments(moments), cache

    def decode_chunk(
        self, latents: Float[Array, "b f h w z"], cache: Cache | None, lone_first: bool
    ) -> tuple[Float[Array, "b F H W 3"], Cache | None]:
        """One chunk of `decode`; `lone_first` for the first chunk (see `chunk_starts_alone`)."""
        return self.decoder(latents, cache, lone_first)


class VAE3D(VideoAutoencoder):
    """The autoencoder of CogVideoX (diffusers AutoencoderKLCogVideoX).

    Convolutions multiply in `dtype`; everything else, and the results, are float32.
    """

    config: VAE3DConfig
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Creates encoder and decoder, which share no parameters."""
        self.encoder = Encoder(self.config, self.dtype)
        self.decoder = Decoder(self.config, self.dtype)

    @property
    def latent_scale(self) -> LatentScale:
        """The normalisation of latents."""
        return LatentScale(self.config.scaling_factor, self.config.invert_scale_latents)


def chunk_lengths(total: int, frames_per_chunk: int | None) -> list[int]:
    """Lengths of the chunks of `total` frames: the first includes the remainder, as in diffusers."""
    size = frames_per_chunk or total
    return [size + total % size] + [size] * (total // size - 1) if total >= size else [total]


def chunk_starts_alone(index: int, length: int, lone_first: bool) -> bool:
    """Whether the first frame of a chunk stands alone in time.

    With `lone_first` it does in the first chunk; otherwise, as in diffusers, in any chunk of odd length.
    """
    return index == 0 if lone_first else length % 2 == 1


def split_moments(
    moments: Float[Array, "b f h w z"],
) -> tuple[Float[Array, "b f h w c"], Float[Array, "b f h w c"]]:
    """Mean and log-variance, the latter clamped to [-30, 20] as in diffusers."""
    mean, logvar = jnp.split(moments, 2, axis=-1)
    return mean, jnp.clip(logvar, -30.0, 20.0)


def check_video_shape(shape: tuple[int, ...], config: AutoencoderConfig) -> None:
    """Raises UserError unless a video [b F H W c] of this shape can be encoded."""
    frames, height, width, channels = shape[-4:]
    ratio, cell = config.temporal_compression_ratio, config.spatial_compression_ratio
    if frames < 1 or (frames - 1) % ratio:
        known = ", ".join(str(1 + ratio * k) for k in (0, 1, 2, 12))
        raise UserError(f"video of {frames} frames: must be 1+{ratio}k frames (such as {known}); cut it")
    if height % cell or width % cell or not height or not width:
        raise UserError(
            f"video of {height}x{width}: height and width must be divisible by {cell}; resize or crop it"
        )
    if channels != config.in_channels:
        raise UserError(f"video with {channels} channels: must have {config.in_channels}")


def check_encode_chunk(frames_per_chunk: int | None, config: AutoencoderConfig) -> None:
    """Raises UserError unless videos can be encoded in chunks of this many frames."""
    ratio = config.temporal_compression_ratio
    if frames_per_chunk is not None and (frames_per_chunk < ratio or frames_per_chunk % ratio):
        raise UserError(f"frames_per_chunk {frames_per_chunk}: must be a multiple of {ratio} to encode")


def _in_chunks(half: nn.Module, x: Array, frames_per_chunk: int | None, lone_first: bool) -> Array:
    """Runs an encoder or decoder over chunks of time, passing the cache along.

    All chunks but the first have the same shape and run in one scan, so that compile time does not grow with
    their number.
    """
    first, *rest = chunk_lengths(x.shape[1], frames_per_chunk)
    y, cache = half(x[:, :first], None, chunk_starts_alone(0, first, lone_first))
    if not rest:
        return y
    module, variables = half.unbind()
    chunks = x[:, first:].reshape(x.shape[0], len(rest), rest[0], *x.shape[2:])

    def step(cache: Any, chunk: Array) -> tuple[Cache | None, Array]:
        y, cache = module.apply(variables, chunk, cache, chunk_starts_alone(1, rest[0], lone_first))
        return cache, y

    _, ys = jax.lax.scan(step, cache, jnp.moveaxis(chunks, 1, 0))
    ys = jnp.moveaxis(ys, 0, 1)
    return jnp.concatenate([y, ys.reshape(ys.shape[0], -1, *ys.shape[3:])], axis=1)
