"""Sizes of SyncNet."""

from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network

LAYERS = 6
"""Convolutions of a tower."""


@dataclass(frozen=True)
class SyncNetConfig:
    """Sizes. The defaults are those of the released `syncnet_v2.model`.

    Attributes:
      audio_widths: channels of the convolutions of the tower for sound.
      video_widths: of the tower for pictures.
      embedding: length of an embedding.
    """

    audio_widths: tuple[int, ...] = (64, 192, 384, 256, 256, 512)
    video_widths: tuple[int, ...] = (96, 256, 256, 256, 256, 512)
    embedding: int = 1024

    def __post_init__(self):
        check_network(self)
        for name in ("audio_widths", "video_widths"):
            if len(getattr(self, name)) != LAYERS:
                raise UserError(f"{name} {list(getattr(self, name))}: must be {LAYERS} widths")

    @classmethod
    def syncnet_v2(cls) -> "SyncNetConfig":
        """The released sizes."""
        return cls()

    @classmethod
    def tiny(cls) -> "SyncNetConfig":
        """A small network for tests."""
        return cls(audio_widths=(4, 6, 6, 6, 6, 8), video_widths=(4, 6, 6, 6, 6, 8), embedding=8)
