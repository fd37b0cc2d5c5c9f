"""Sizes of the effects mask's network, and of the spectra that it sees."""

import dataclasses

from mtv_jax.models.limits import check_network

SAMPLE_RATE = 16_000
"""Of the sound that the network hears, Hz."""
N_FFT = 512
HOP = 256
"""Length and distance of the analysis windows in samples: 32 ms, so that a strike is found within a video frame."""
BINS = N_FFT // 2
"""Bins that the network sees: all but the last, so that their number can be halved."""
STRIDES = (4, 2, 2)
"""Frequency strides of the convolutions on the way down."""
FINE = 8
"""Channels at the full resolution, on the way up."""


@dataclasses.dataclass(frozen=True)
class EffectsMaskConfig:
    """Sizes.

    Attributes:
      widths: channels of the encoder's three convolutions.
      hidden: width of the layers over time.
      dilations: of the convolutions over time, in windows.
    """

    widths: tuple[int, ...] = (24, 32, 48)
    hidden: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)

    def __post_init__(self):
        check_network(self)

    @classmethod
    def tiny(cls) -> "EffectsMaskConfig":
        """A small network for tests."""
        return cls(widths=(2, 3, 4), hidden=8, dilations=(1, 2))
