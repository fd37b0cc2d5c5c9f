"""Sizes of Stable Diffusion's UNet."""

from dataclasses import dataclass

from mtv_jax.models.unet import UNetConfig


@dataclass(frozen=True, kw_only=True)
class UNet2DConfig(UNetConfig):
    """Architecture of `UNet2D` (diffusers `UNet2DConditionModel`). The defaults are Stable Diffusion 2.1's."""

    @classmethod
    def tiny(cls) -> "UNet2DConfig":
        """Two levels of 16 and 32 channels, of which the second has transformers."""
        return cls(
            block_out_channels=(16, 32),
            attention_levels=(False, True),
            layers_per_block=1,
            attention_head_dim=8,
            text_embed_dim=24,
            norm_num_groups=8,
            sample_height=8,
            sample_width=8,
        )

    @classmethod
    def sd_2_1_base(cls) -> "UNet2DConfig":
        """stabilityai/stable-diffusion-2-1-base: 512 x 512 pixels, epsilon prediction."""
        return cls()
