"""Sizes of SyncSynth's towers and of what they are given."""

import dataclasses

from mtv_jax.models.limits import check_network
from mtv_jax.models.mel import MelConfig

SIDE = 32
"""Rows and columns of a picture of a mouth."""
MEL = MelConfig(bins=32, subframes=4, min_hz=50.0)
LEVELS = (MEL.subframes, MEL.bins)
"""Levels of a frame's sound: times in the frame, bands."""
KERNEL = 5
"""Frames that an embedding sees."""
CONTEXT = KERNEL - 1
"""Frames of a clip that have no embedding of their own."""


@dataclasses.dataclass(frozen=True)
class SyncSynthConfig:
    """Sizes, and the rate that the network was fitted for.

    Attributes:
      widths: channels of the picture's convolutions, each of stride 2.
      hidden: width of both towers.
      embedding: dimensions that are compared.
      fps: frames a second of the pictures; the network does not generalise to other rates.
    """

    widths: tuple[int, ...] = (16, 32, 32)
    hidden: int = 64
    embedding: int = 32
    fps: int = 12

    def __post_init__(self):
        check_network(self)

    @classmethod
    def tiny(cls) -> "SyncSynthConfig":
        """A small network for tests."""
        return cls(widths=(4,), hidden=8, embedding=4)
