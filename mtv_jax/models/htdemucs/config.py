"""Sizes and options of HTDemucs."""

from dataclasses import dataclass
from typing import Literal

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network

KERNEL, STRIDE = 8, 4
"""Of the convolutions that change the resolution, over frequency or over time; every released model has these."""


@dataclass(frozen=True)
class HTDemucsConfig:
    """Architecture of `HTDemucs` (demucs 4, `htdemucs.py`), in the names and with the defaults of demucs.

    Attributes:
      sources: names of the stems, in the order of the output.
      channels: width of the outermost layer, doubled by each of the `depth` layers inwards.
      nfft: length of the spectrogram's window in samples; the hop is a fourth of it.
      freq_emb: weight of the frequency embedding, whose stored values are multiplied by `emb_scale` too.
      dconv_mode: 1: the encoders have dilated convolutions, 3: the decoders too.
      dconv_comp: factor by which these compress the channels.
      bottom_channels: width of the transformer; None: that of the innermost layer.
      t_layers: layers of the transformer in each branch, alternating self-attention and cross-attention.
      t_hidden_scale: width of a feed-forward layer relative to the transformer's.
      samplerate: Hz.
      segment_samples: length of the sounds it was trained on, and of every input.
    """

    sources: tuple[str, ...] = ("music", "sfx", "speech")
    audio_channels: int = 2
    channels: int = 48
    nfft: int = 4096
    depth: int = 4
    freq_emb: float = 0.2
    emb_scale: float = 10.0
    dconv_mode: Literal[1, 3] = 1
    dconv_depth: int = 2
    dconv_comp: int = 8
    bottom_channels: int | None = None
    t_layers: int = 5
    t_hidden_scale: float = 4.0
    t_heads: int = 8
    samplerate: int = 44_100
    segment_samples: int = 441_000

    def __post_init__(self):
        check_network(self)
        named = isinstance(self.sources, tuple) and all(isinstance(name, str) for name in self.sources)
        if not named or not self.sources or len(set(self.sources)) != len(self.sources):
            raise UserError(f"sources {self.sources!r}: must be one or more different names")
        if not (self.freq_emb > 0 and self.t_hidden_scale > 0):
            raise UserError(
                f"freq_emb {self.freq_emb}, t_hidden_scale {self.t_hidden_scale}: must be above 0"
            )
        if self.dconv_comp > self.channels:
            raise UserError(f"dconv_comp {self.dconv_comp}: must be at most {self.channels} channels")
        self._check_resolution()
        self._check_transformer()

    def _check_resolution(self) -> None:
        if self.nfft // 2 % STRIDE**self.depth or self.frequencies(self.depth - 1) <= KERNEL:
            raise UserError(
                f"nfft {self.nfft}, depth {self.depth}: nfft must be divisible by {2 * STRIDE**self.depth} and above "
                f"{2 * KERNEL * STRIDE ** (self.depth - 1)}; layers that merge the branches are not supported"
            )
        if 2 * self.segment_samples <= 5 * self.hop:
            raise UserError(
                f"segment of {self.segment_samples} samples: must be above 2.5 hops of {self.hop} samples"
            )

    def _check_transformer(self) -> None:
        if self.width % 4 or self.width % self.t_heads:
            raise UserError(
                f"transformer of width {self.width} (bottom_channels, or the innermost layer's): must be divisible by "
                f"4 and by t_heads {self.t_heads}"
            )

    @property
    def hop(self) -> int:
        """Samples from one frame of the spectrogram to the next."""
        return self.nfft // 4

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each layer, outermost first."""
        return tuple(self.channels * 2**layer for layer in range(self.depth))

    @property
    def width(self) -> int:
        """Width of the transformer."""
        return self.bottom_channels or self.widths[-1]

    def frequencies(self, layer: int) -> int:
        """Number of frequencies at the input of an encoder layer."""
        return self.nfft // 2 // STRIDE**layer

    @classmethod
    def tiny(cls) -> "HTDemucsConfig":
        """Three layers of width 4 to 16, on segments of 1500 samples."""
        return cls(
            channels=4,
            nfft=1024,
            depth=3,
            dconv_mode=3,
            dconv_comp=2,
            t_layers=2,
            t_heads=2,
            t_hidden_scale=2.0,
            samplerate=8000,
            segment_samples=1500,
        )

    @classmethod
    def cdx23(cls) -> "HTDemucsConfig":
        """MVSEP-CDX23: the default network of demucs' training, with a stem each for music, effects and speech.

        A checkpoint's own options take precedence, among them the length of a segment.
        """
        return cls(dconv_mode=3)
