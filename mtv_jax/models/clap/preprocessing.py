"""From sounds to CLAP's mel spectrograms, in numpy: transformers' `ClapFeatureExtractor` without its randomness."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from mtv_jax.io.errors import UserError
from mtv_jax.models.imagebind.preprocessing import linear_places
from mtv_jax.models.limits import check_network

_FLOOR = 1e-10
"""Least power of a band: -100 dB."""
_ROWS = 4096
"""Windows transformed at once: bounds the memory for long sounds."""


@dataclass(frozen=True, kw_only=True)
class ClapFeatureConfig:
    """Options of the spectrograms, by the names of `ClapFeatureExtractor`. The defaults are the released ones.

    Attributes:
      truncation: `rand_trunc` gives windows of a long sound, with filters on Slaney's mel scale; `fusion` gives four
        views of it, with filters on that of HTK.
    """

    sampling_rate: int = 48_000
    feature_size: int = 64
    fft_window_size: int = 1024
    hop_length: int = 480
    max_length_s: int = 10
    frequency_min: float = 50.0
    frequency_max: float = 14_000.0
    truncation: Literal["rand_trunc", "fusion"] = "rand_trunc"

    def __post_init__(self):
        check_network(self)
        if not 0 <= self.frequency_min < self.frequency_max <= self.sampling_rate / 2:
            raise UserError(
                f"frequency_min {self.frequency_min} and frequency_max {self.frequency_max}: must ascend, up to half "
                f"of sampling_rate {self.sampling_rate}"
            )

    @property
    def max_samples(self) -> int:
        """Samples of a spectrogram."""
        return self.max_length_s * self.sampling_rate

    @property
    def frames(self) -> int:
        """Frames of a spectrogram."""
        return self.max_samples // self.hop_length + 1


def clap_features(
    sound: Float[np.ndarray, "s"], config: ClapFeatureConfig
) -> tuple[Float[np.ndarray, "w v t m"], Bool[np.ndarray, "w"]]:
    """Log-mel spectrograms of a sound of full scale +-1, and which of them are of a longer sound (`Clap`).

    A short sound is repeated as often as it fits whole, then padded with zeros (`repeatpad`). With `rand_trunc` a sound
    of more than `max_length_s` gives several spectrograms, of windows that are evenly spaced from its start to its end
    and cover it; the original draws one. With `fusion` it gives one of four views (`fusion_views`). Raises UserError
    for a sound without samples.
    """
    if not len(sound):
        raise UserError("sound without samples: there is nothing to hear")
    if config.truncation == "fusion":
        views, longer = fusion_views(sound, config)
        return views[None], np.array([longer])
    mels = [log_mel(window, config)[None] for window in windows(sound, config.max_samples)]
    return np.stack(mels), np.full(len(mels), len(sound) > config.max_samples)


def windows(sound: Float[np.ndarray, "s"], length: int) -> Iterator[Float[np.ndarray, "{length}"]]:
    """The fewest windows of `length` samples that cover a sound, evenly spaced; a shorter sound is repeated."""
    if len(sound) <= length:
        yield repeat_pad(sound, length)
        return
    count = -(-len(sound) // length)
    for start in np.linspace(0, len(sound) - length, count).round().astype(int):
        yield sound[start : start + length]


def repeat_pad(sound: Float[np.ndarray, "s"], length: int) -> Float[np.ndarray, "{length}"]:
    """A sound repeated as often as it fits whole into `length` samples, followed by zeros."""
    repeated = np.tile(sound, length // len(sound))
    return np.pad(repeated, (0, length - len(repeated)))


def fusion_views(
    sound: Float[np.ndarray, "s"], config: ClapFeatureConfig
) -> tuple[Float[np.ndarray, "4 t m"], bool]:
    """Four views of a sound, and whether they differ: the whole, shortened to `config.frames`, and three crops.

    The places where a crop may start are divided into three parts; each crop starts in the middle of a part, where the
    original draws a place of it. A sound that fits is seen four times alike; unlike the original, which marks one such
    sound of a batch at random as a longer one, it is never marked.
    """
    frames = config.frames
    mel = log_mel(sound if len(sound) > config.max_samples else repeat_pad(sound, config.max_samples), config)
    if len(mel) == frames:
        return np.stack([mel] * 4), False
    parts = np.array_split(np.arange(len(mel) - frames + 1), 3)
    starts = [part[len(part) // 2] if len(part) else 0 for part in parts]
    return np.stack([shorten(mel, frames), *(mel[start : start + frames] for start in starts)]), True


def shorten(mel: Float[np.ndarray, "t m"], frames: int) -> Float[np.ndarray, "{frames} m"]:
    """Linear interpolation in time to `frames`, aligned at their centres and not smoothed (torch's `bilinear`)."""
    low, high, share = linear_places(len(mel), frames)
    return mel[low] + (mel[high] - mel[low]) * share[:, None]


def log_mel(sound: Float[np.ndarray, "s"], config: ClapFeatureConfig) -> Float[np.ndarray, "t m"]:
    """Power in mel bands, dB, at least -100, float32: centred Hann windows, the ends reflected."""
    size = config.fft_window_size
    padded = np.pad(sound, size // 2, mode="reflect").astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: config.hop_length]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    blocks = []
    for first in range(0, len(frames), _ROWS):
        # complex64 as in the original: the rounding shows in bands that are almost silent.
        spectrum = np.fft.rfft(frames[first : first + _ROWS] * hann).astype(np.complex64)
        power = np.abs(spectrum, dtype=np.float64) ** 2
        blocks.append(np.log10(np.maximum(power @ mel_filters(config), _FLOOR)))
    return (10 * np.concatenate(blocks)).astype(np.float32)


@functools.cache
def mel_filters(config: ClapFeatureConfig) -> Float[np.ndarray, "bins m"]:
    """Triangular filters: on Slaney's scale, of equal area, or with fusion on HTK's, of equal height."""
    from librosa.filters import mel  # lazily, since the import takes a second

    fused = config.truncation == "fusion"
    return mel(
        sr=config.sampling_rate,
        n_fft=config.fft_window_size,
        n_mels=config.feature_size,
        fmin=config.frequency_min,
        fmax=config.frequency_max,
        htk=fused,
        norm=None if fused else "slaney",
        dtype=np.float64,
    ).T
