"""Sizes of Spleeter's networks, and of the spectra that they take."""

import dataclasses

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclasses.dataclass(frozen=True)
class SpleeterConfig:
    """Sizes. The defaults are those of the released model of two stems.

    Attributes:
      stems: networks, one for each sound to be separated.
      channels: of the sound.
      widths: channels of the levels of a U-Net, each of half the resolution.
      sample_rate: Hz of the sound.
      window, hop: of the spectrum, in samples.
      bins: lowest bins of the spectrum that the network takes.
      frames: spectra in a block, which the network takes at once.
    """

    stems: int = 2
    channels: int = 2
    widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    sample_rate: int = 44_100
    window: int = 4096
    hop: int = 1024
    bins: int = 1024
    frames: int = 512

    def __post_init__(self):
        check_network(self)
        for name in ("bins", "frames"):
            if getattr(self, name) % self.factor:
                raise UserError(f"{name} {getattr(self, name)}: must be a multiple of {self.factor}")
        if self.bins > self.window // 2 or self.hop > self.window // 2:
            raise UserError(
                f"bins {self.bins}, hop {self.hop}: each at most {self.window // 2}, half of the window"
            )

    @property
    def factor(self) -> int:
        """Downsampling factor of the last level."""
        return 2 ** len(self.widths)

    @classmethod
    def two_stems(cls) -> "SpleeterConfig":
        """Vocals and accompaniment: the released sizes."""
        return cls()

    @classmethod
    def tiny(cls) -> "SpleeterConfig":
        """A small network for tests, at 4 kHz."""
        return cls(widths=(4, 6), sample_rate=4000, window=128, hop=32, bins=32, frames=32)
