"""Brings speech to the level of training, so that how it was recorded does not say how wide a mouth opens."""

import numpy as np

from mtv_jax.typing import Float

SPEECH_LEVEL = 0.1
"""RMS of the loudest twentieth of speech, as in the theatre, where it opens a mouth fully."""
_FRAME_SECONDS = 1 / 12
_QUANTILE = 0.95
_SILENCE = 10 ** (-55 / 20)
"""Level of the loudest twentieth below which there is no speech, but noise."""
_MAX_GAIN = 10 ** (40 / 20)


def normalize_speech(samples: Float[np.ndarray, "s"], sample_rate: int) -> Float[np.ndarray, "s"]:
    """Speech, float32 [s], scaled so that its loudest twentieth of a second's twelfths has `SPEECH_LEVEL`.

    Silence, and noise below -55 dBFS, stay as they are; nothing is raised by more than 40 dB.
    """
    step = max(round(_FRAME_SECONDS * sample_rate), 1)
    if len(samples) < step:
        return samples
    whole = samples[: len(samples) // step * step].astype(np.float64)
    level = float(np.quantile(np.sqrt((whole.reshape(-1, step) ** 2).mean(axis=1)), _QUANTILE))
    return samples if level < _SILENCE else samples * np.float32(min(SPEECH_LEVEL / level, _MAX_GAIN))
