"""Sizes of the autoencoder of pictures, in the vocabulary of diffusers' AutoencoderKL."""

from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network

_MOST_LEVELS = 8


@dataclass(frozen=True)
class KLVAEConfig:
    """Architecture and latent scale. Levels = len(block_out_channels); space halves between levels."""

    in_channels: int = 3
    out_channels: int = 3
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    """Residual blocks per level of the encoder; the decoder has one more."""
    latent_channels: int = 4
    norm_num_groups: int = 32
    sample_size: int = 512
    """Pixels along each side of the pictures it was trained on, and of a tile."""
    scaling_factor: float = 0.18215
    """The denoiser's latents are samples of the posterior times this (applied by callers)."""

    def __post_init__(self) -> None:
        check_network(self)
        if not 1 <= len(self.block_out_channels) <= _MOST_LEVELS:
            raise UserError(
                f"block_out_channels: {len(self.block_out_channels)} levels, must be 1 to {_MOST_LEVELS}"
            )
        if not self.scaling_factor > 0:
            raise UserError(f"scaling_factor {self.scaling_factor}: must be above 0")
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise UserError(
                    f"block_out_channels {channels}: not divisible by norm_num_groups {self.norm_num_groups}"
                )

    @property
    def temporal_compression_ratio(self) -> int:
        """Frames per latent: each frame is coded alone."""
        return 1

    @property
    def temporal_kernel_size(self) -> int:
        """Frames that a convolution sees: each frame is coded alone."""
        return 1

    @property
    def spatial_compression_ratio(self) -> int:
        """Pixels per latent cell, along height and along width."""
        return 2 ** (len(self.block_out_channels) - 1)

    @property
    def tiles(self) -> tuple[float, ...]:
        """Tiles of the training size, a quarter of which overlaps (`mtv_jax.models.vae3d.Tiling`)."""
        return self.sample_size, self.sample_size, 0.25, 0.25

    @classmethod
    def tiny(cls) -> "KLVAEConfig":
        """The real architecture with few channels, on pictures of 32 pixels."""
        return cls(block_out_channels=(8, 8, 16, 16), layers_per_block=1, norm_num_groups=4, sample_size=32)

    @classmethod
    def objects(cls) -> "KLVAEConfig":
        """Eight latent channels for the sounding objects of 64 x 96 pixels (`mtv_jax.theatre.objects`)."""
        return cls(
            block_out_channels=(16, 32, 48, 64),
            layers_per_block=1,
            latent_channels=8,
            norm_num_groups=8,
            sample_size=64,
        )

    @classmethod
    def kl_f8(cls) -> "KLVAEConfig":
        """The autoencoder of Stable Diffusion 1 and 2, and of VideoCrafter."""
        return cls()
