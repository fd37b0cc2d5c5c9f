"""How lively music is."""

import numpy as np

from mtv_jax.typing import Float

RATE = 22_050
"""Hz, the rate that librosa's onset detector has its defaults for."""

_LIVELY = 2.5
"""Onsets a second: at 120 beats a minute, more than one a beat."""


def is_lively(samples: Float[np.ndarray, "_"]) -> bool:
    """Whether mono music at `RATE` has many onsets a second (librosa's detector, with its defaults)."""
    import librosa  # here, since importing it takes a second

    strength = librosa.onset.onset_strength(y=samples, sr=RATE)
    onsets = librosa.onset.onset_detect(onset_envelope=strength, sr=RATE)
    return len(onsets) / (len(samples) / RATE) >= _LIVELY
