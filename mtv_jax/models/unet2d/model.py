"""Stable Diffusion's UNet."""

from mtv_jax.models.unet import UNet
from mtv_jax.models.unet2d.config import UNet2DConfig


class UNet2D(UNet):
    """`UNet` of pictures: the frames of a clip are independent of one another."""

    config: UNet2DConfig
