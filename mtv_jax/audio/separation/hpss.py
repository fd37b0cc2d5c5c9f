"""Harmonic-percussive separation: short sound is an effect, the rest is music."""

import importlib.metadata
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mtv_jax.audio.separation.base import Context, ModelCard
from mtv_jax.io.levels import SILENT_DBFS

_TRANSFORM_SECONDS = 0.0232
"""Length of the analysis window (1024 samples at 44.1 and 48 kHz, 512 at 16): short, for strikes."""
_MEDIANS = (21, 61)
"""Median filter lengths: frames, along which steady sound is music, and bins, along which short sound is an effect."""
_MARGIN = 2.0
"""Factor by which short sound must exceed steady sound. The rest goes to the music, since an effects track with traces
of other sounds triggers events everywhere. Tuned together with the two above on theatre clips (docs/evaluation.md)."""


@dataclass(frozen=True)
class HPSS:
    """Median filtering along time and frequency (Fitzgerald 2010).

    A margin (Driedger et al. 2014) excludes sound that is neither steady nor short.
    """

    context = Context(past=1, future=1)
    silent_dbfs = {"effects": SILENT_DBFS, "music": SILENT_DBFS}  # noqa: RUF012 (a constant)

    def card(self) -> ModelCard:
        """See `Splitter`."""
        version = f"librosa {importlib.metadata.version('librosa')}"
        return ModelCard("HPSS", version, "ISC", None, "classical")

    def effects(self, rest: Float[np.ndarray, "_ c"], sample_rate: int) -> Float[np.ndarray, "_ c"]:
        """The percussive part, float32 [s, channels]."""
        import librosa

        n_fft = 2 ** round(np.log2(_TRANSFORM_SECONDS * sample_rate))
        if len(rest) < n_fft:
            return rest.copy()  # too short for a pitch: all of it counts as effects
        effects = np.empty_like(rest)
        for channel in range(rest.shape[1]):  # one at a time: spectra dominate the peak memory
            spectrum = librosa.stft(rest[:, channel], n_fft=n_fft)
            _, mask = librosa.decompose.hpss(spectrum, kernel_size=_MEDIANS, mask=True, margin=_MARGIN)
            effects[:, channel] = librosa.istft(spectrum * mask, n_fft=n_fft, length=len(rest))
        return effects
