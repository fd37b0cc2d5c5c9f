"""Sizes of VideoCrafter's UNet."""

from dataclasses import dataclass

from mtv_jax.models.unet import UNetConfig
from mtv_jax.models.unet2d.config import UNet2DConfig


@dataclass(frozen=True, kw_only=True)
class VideoCrafterConfig(UNetConfig):
    """Architecture of `VideoCrafterUNet`. The defaults are VideoCrafter2's, for 16 frames of 320 x 512 pixels.

    `sample_frames` is the number of frames of its training; others run, since nothing depends on a frame's number.
    """

    sample_frames: int = 16
    sample_height: int = 40
    sample_width: int = 64

    temporal = True

    @classmethod
    def tiny(cls) -> "VideoCrafterConfig":
        """Two levels of 16 and 32 channels, both with transformers, for clips of 4 frames."""
        return cls(
            block_out_channels=(16, 32),
            attention_levels=(True, True),
            layers_per_block=1,
            attention_head_dim=8,
            text_embed_dim=24,
            norm_num_groups=8,
            sample_frames=4,
            sample_height=8,
            sample_width=8,
        )

    @classmethod
    def objects(cls) -> "VideoCrafterConfig":
        """`UNet2DConfig.objects` with parts over time, for clips of 16 frames."""
        return cls(**{**vars(UNet2DConfig.objects()), "sample_frames": 16})

    @classmethod
    def videocrafter2(cls) -> "VideoCrafterConfig":
        """VideoCrafter2 at 320 x 512."""
        return cls()
