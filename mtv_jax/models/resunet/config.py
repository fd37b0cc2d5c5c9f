"""Sizes of AudioSep's ResUNet, and of the spectra that it computes."""

from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclass(frozen=True)
class ResUNetConfig:
    """Sizes. The defaults are those of the released `audiosep_base_4M_steps.ckpt`.

    Attributes:
      widths: channels of the levels. Each halves the frequencies; each but the last halves time as well.
      condition_size: length of the embedding of the words.
      sample_rate: Hz of the sound.
      n_fft: samples of a spectrum's window.
      hop: samples from one spectrum to the next.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256, 384, 384)
    condition_size: int = 512
    sample_rate: int = 32_000
    n_fft: int = 2048
    hop: int = 320

    def __post_init__(self):
        check_network(self)
        if self.n_fft % (2 * 2 ** len(self.widths)):
            raise UserError(
                f"n_fft {self.n_fft}: must be a multiple of {2 * 2 ** len(self.widths)} for {len(self.widths)} widths"
            )
        if self.hop > self.n_fft // 2:
            raise UserError(f"hop {self.hop}: must be at most {self.n_fft // 2}, half of n_fft")

    @property
    def bins(self) -> int:
        """Frequencies of a spectrum."""
        return self.n_fft // 2 + 1

    @property
    def time_factor(self) -> int:
        """By how much the lowest level shortens time."""
        return 2 ** (len(self.widths) - 1)

    @classmethod
    def audiosep_base(cls) -> "ResUNetConfig":
        """The released sizes."""
        return cls()

    @classmethod
    def tiny(cls) -> "ResUNetConfig":
        """A small network for tests, at 4 kHz."""
        return cls(widths=(4, 6), condition_size=16, sample_rate=4000, n_fft=256, hop=64)

    @classmethod
    def objects(cls) -> "ResUNetConfig":
        """For the sounding objects (`mtv_jax.theatre.objects`), at 16 kHz."""
        return cls(widths=(8, 16, 24, 32), condition_size=16, sample_rate=16_000, n_fft=512, hop=128)
