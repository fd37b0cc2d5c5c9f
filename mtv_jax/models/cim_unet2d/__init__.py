"""A UNet of pictures that is conditioned by sound, through which the Condition Injection Module is trained."""

from mtv_jax.models.cim_unet2d.config import CIMUNet2DConfig
from mtv_jax.models.cim_unet2d.model import CIMUNet2D

__all__ = ["CIMUNet2D", "CIMUNet2DConfig"]
