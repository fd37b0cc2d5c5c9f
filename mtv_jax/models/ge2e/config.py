"""Sizes of the speaker encoder, and of the spectrogram that it takes."""

from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclass(frozen=True)
class GE2EConfig:
    """Sizes. The defaults are those of Resemblyzer 0.1.4.

    Attributes:
      num_layers: of the LSTM.
      width: of each of them.
      embedding: numbers that describe a voice.
      sample_rate: Hz of the sound.
      n_fft, hop, mels: of the mel spectrogram (power, not its logarithm); the first two in samples.
      frames: of the spectrogram that the network was trained on at once.
    """

    num_layers: int = 3
    width: int = 256
    embedding: int = 256
    sample_rate: int = 16_000
    n_fft: int = 400
    hop: int = 160
    mels: int = 40
    frames: int = 160

    def __post_init__(self):
        check_network(self)
        if self.hop > self.n_fft:
            raise UserError(f"hop {self.hop}: at most n_fft, {self.n_fft}")

    @classmethod
    def resemblyzer(cls) -> "GE2EConfig":
        """The released sizes."""
        return cls()

    @classmethod
    def tiny(cls) -> "GE2EConfig":
        """A small network for tests."""
        return cls(num_layers=2, width=12, embedding=8, mels=10)
