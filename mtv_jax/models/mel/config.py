"""Options of log-mel features."""

import dataclasses

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclasses.dataclass(frozen=True)
class MelConfig:
    """Log-mel features. There is no hop: sub-frames follow the video's frame rate.

    Attributes:
      sample_rate: of the waveform, Hz.
      n_fft: length of the Fourier transform, samples.
      window: length of the Hann window, samples (400 = 25 ms).
      bins: mel bands (C).
      subframes: analysis windows a video frame (L).
      min_hz: lower edge of the lowest band.
      max_hz: upper edge of the highest band.
      floor_db: band level, in dB of full scale, that counts as silence.
    """

    sample_rate: int = 16000
    n_fft: int = 512
    window: int = 400
    bins: int = 64
    subframes: int = 4
    min_hz: float = 20.0
    max_hz: float = 8000.0
    floor_db: float = -100.0

    def __post_init__(self):
        check_network(self)
        if self.window > self.n_fft:
            raise UserError(f"window {self.window}: must be at most n_fft, {self.n_fft}")
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate / 2:
            raise UserError(
                f"min_hz {self.min_hz}, max_hz {self.max_hz}: must rise, up to {self.sample_rate / 2:g} Hz"
            )
        if not self.floor_db < 0:
            raise UserError(f"floor_db {self.floor_db}: must be below 0")

    @classmethod
    def tiny(cls) -> "MelConfig":
        """Small features for tests and the bundled tiny model."""
        return cls(bins=16, subframes=2)
