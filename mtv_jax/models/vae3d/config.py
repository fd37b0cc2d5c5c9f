"""Sizes of the causal 3D autoencoder, in the vocabulary of diffusers' AutoencoderKLCogVideoX."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network

_MOST_LEVELS = 8


@runtime_checkable
class AutoencoderConfig(Protocol):
    """Fields of an autoencoder's config that chunking, tiling, planning, pipelines and training read."""

    @property
    def in_channels(self) -> int:
        """Channels of a frame."""
        ...

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        ...

    @property
    def temporal_compression_ratio(self) -> int:
        """Frames per latent, after the first."""
        ...

    @property
    def spatial_compression_ratio(self) -> int:
        """Pixels per latent cell, along height and along width."""
        ...

    @property
    def scaling_factor(self) -> float:
        """The denoiser's latents are those of the autoencoder times this."""
        ...

    @property
    def tiles(self) -> tuple[float, ...]:
        """Arguments of `Tiling`: diffusers' default."""
        ...


@dataclass(frozen=True)
class VAE3DConfig:
    """Architecture and latent scale. Levels = len(block_out_channels); space halves between levels."""

    in_channels: int = 3
    out_channels: int = 3
    block_out_channels: tuple[int, ...] = (128, 256, 256, 512)
    latent_channels: int = 16
    layers_per_block: int = 3
    """Residual blocks per level of the encoder; the decoder has one more."""
    norm_eps: float = 1e-6
    """Of the group norms in residual blocks; spatial norms and output norms have 1e-6 always."""
    norm_num_groups: int = 32
    temporal_compression_ratio: int = 4
    temporal_kernel_size: int = 3
    """Kernel size in time of the causal convolutions. Ours: fixed to 3 in diffusers."""
    sample_height: int = 480
    """Pixels of the clips it was trained on; tiles are half as high and wide."""
    sample_width: int = 720
    scaling_factor: float = 1.15258426
    """The denoiser's latents are samples of the posterior times this (applied by callers)."""
    invert_scale_latents: bool = False
    """Image conditioning latents are divided by the scaling factor instead (applied by callers)."""

    def __post_init__(self) -> None:
        check_network(self)
        if len(self.block_out_channels) > _MOST_LEVELS:
            raise UserError(
                f"block_out_channels: {len(self.block_out_channels)} levels, at most {_MOST_LEVELS}"
            )
        if not self.scaling_factor > 0:
            raise UserError(f"scaling_factor {self.scaling_factor}: must be above 0")
        ratio = self.temporal_compression_ratio
        if ratio & (ratio - 1) or ratio > 2 ** (len(self.block_out_channels) - 1):
            raise UserError(
                f"temporal_compression_ratio {ratio}: must be a power of 2, "
                f"at most one halving between two of the {len(self.block_out_channels)} levels"
            )
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise UserError(
                    f"block_out_channels {channels}: not divisible by norm_num_groups {self.norm_num_groups}"
                )

    @property
    def temporal_levels(self) -> int:
        """Number of times that time is halved; in the first levels of the encoder and of the decoder."""
        return self.temporal_compression_ratio.bit_length() - 1

    @property
    def spatial_compression_ratio(self) -> int:
        """Pixels per latent cell, along height and along width."""
        return 2 ** (len(self.block_out_channels) - 1)

    @property
    def tiles(self) -> tuple[float, ...]:
        """Tiles of half the training height and width (`Tiling`)."""
        return self.sample_height // 2, self.sample_width // 2

    @classmethod
    def tiny(cls) -> "VAE3DConfig":
        """The real architecture with few channels; frames are coded one by one (except for group norms, over a chunk).

        It trains on two CPU cores. Compressing four frames, as at full size, learns far slower, and motion within the
        four is learned last: after 45 minutes lips had a correlation of .64, compared with .99 after ten minutes here.
        """
        return cls(
            block_out_channels=(12, 32, 48, 48),
            latent_channels=8,
            layers_per_block=1,
            norm_num_groups=4,
            temporal_compression_ratio=1,
            temporal_kernel_size=1,
            sample_height=64,
            sample_width=64,
            scaling_factor=1.0,
        )

    @classmethod
    def cogvideox_2b(cls) -> "VAE3DConfig":
        """The autoencoder of CogVideoX-2b."""
        return cls()

    @classmethod
    def cogvideox_5b(cls) -> "VAE3DConfig":
        """The autoencoder of CogVideoX-5b, of its image-to-video variant and of MTV."""
        return cls(scaling_factor=0.7)
