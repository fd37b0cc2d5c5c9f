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
    def objects(cls) -> "UNet2DConfig":
        """For pictures of the sounding objects (`mtv_jax.theatre.objects`), in the latents of `KLVAEConfig.objects`."""
        return cls(
            in_channels=8,
            out_channels=8,
            block_out_channels=(64, 80),
            attention_levels=(True, True),
            layers_per_block=1,
            attention_head_dim=16,
            text_embed_dim=64,
            norm_num_groups=16,
            sample_height=8,
            sample_width=12,
        )

    @classmethod
    def sd_2_1_base(cls) -> "UNet2DConfig":
        """stabilityai/stable-diffusion-2-1-base: 512 x 512 pixels, epsilon prediction."""
        return cls()
