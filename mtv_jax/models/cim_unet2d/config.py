"""Sizes of the networks through which the Condition Injection Module is trained."""

from dataclasses import dataclass, replace

from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError
from mtv_jax.models.cim.config import CIMConfig
from mtv_jax.models.imagebind.config import ImageBindAudioConfig
from mtv_jax.models.unet2d.config import UNet2DConfig

_MOST_TOKENS = 2**10


@dataclass(frozen=True, kw_only=True)
class CIMUNet2DConfig:
    """Architecture of `CIMUNet2D`.

    Attributes:
      unet: the UNet of pictures.
      imagebind: the network for sounds.
      cim: the Condition Injection Module between them, of `cim.num_queries` tokens per segment.
      first_slot: token of the text that those tokens replace first: 0 as in the paper, or 1, which keeps the start
        token (the released code).
      text_length: tokens of a text; CLIP's is fixed.
    """

    unet: UNet2DConfig
    imagebind: ImageBindAudioConfig
    cim: CIMConfig
    first_slot: int = 0
    text_length: int = UNet2DConfig.max_text_seq_length

    def __post_init__(self) -> None:
        check_whole("first_slot", self.first_slot, least=0, most=1)
        check_whole("text_length", self.text_length, most=_MOST_TOKENS)
        widths = {
            "embedding_dim": ("imagebind.audio.width", self.imagebind.audio.width),
            "output_dim": ("unet.text_embed_dim", self.unet.text_embed_dim),
        }
        for name, (other, width) in widths.items():
            if getattr(self.cim, name) != width:
                raise UserError(f"cim.{name} {getattr(self.cim, name)}: must be {other}, {width}")
        room = self.text_length - self.first_slot
        if self.cim.num_queries > room:
            raise UserError(
                f"cim.num_queries {self.cim.num_queries}: a text of {self.text_length} tokens has room for {room}"
            )

    @classmethod
    def tiny(cls) -> "CIMUNet2DConfig":
        """The `tiny` networks, with a CIM between their widths."""
        unet, imagebind = UNet2DConfig.tiny(), ImageBindAudioConfig.tiny()
        cim = CIMConfig(
            dim=16,
            depth=2,
            dim_head=4,
            heads=3,
            num_queries=3,
            embedding_dim=imagebind.audio.width,
            output_dim=unet.text_embed_dim,
            ff_mult=2,
        )
        return cls(unet=unet, imagebind=imagebind, cim=cim)

    @classmethod
    def objects(cls) -> "CIMUNet2DConfig":
        """For the sounding objects (`mtv_jax.theatre.objects`), whose clips of eight seconds have four segments."""
        unet = replace(UNet2DConfig.objects(), sample_frames=4)
        return cls(unet=unet, imagebind=ImageBindAudioConfig.patches(), cim=CIMConfig.objects())

    @classmethod
    def paper(cls) -> "CIMUNet2DConfig":
        """Stable Diffusion 2.1's UNet, ImageBind-Huge, and ten queries; clips of ten seconds have five segments."""
        unet = replace(UNet2DConfig.sd_2_1_base(), sample_frames=5)
        return cls(unet=unet, imagebind=ImageBindAudioConfig.huge(), cim=CIMConfig.paper())
