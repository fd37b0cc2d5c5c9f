"""Sizes of SyncSynth's towers and of their inputs."""

import dataclasses

from mtv_jax.models.limits import check_network
from mtv_jax.models.mel import MelConfig

SIDE = 32
"""Rows and columns of a picture of a mouth."""
MEL = MelConfig(bins=32, subframes=4, min_hz=50.0)
LEVELS = (MEL.subframes, MEL.bins)
"""Audio levels per frame: times in the frame, bands."""
KERNEL = 5
"""Receptive field of an embedding in frames."""
CONTEXT = KERNEL - 1
"""Frames at the ends of a clip without an embedding."""


@dataclasses.dataclass(frozen=True)
class SyncSynthConfig:
    """Sizes, and the rate that the network was fitted for.

    Attributes:
      widths: channels of the picture's convolutions, each of stride 2.
      hidden: width of both towers.
      embedding: dimensions of the embeddings.
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
