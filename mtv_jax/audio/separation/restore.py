"""Restores the parts of a voice that a speech enhancer removed.

Enhancers err on the side of removing too much: they attenuate voices and drop parts that they take for noise. A model
that follows the loudness of the voice then receives a quieter one with gaps.
"""

import numpy as np
from jaxtyping import Float

_LEVEL_SECONDS = 1.0
"""Window for estimating the lost level."""
_MAX_GAIN = 3.0
_PRESENCE_SECONDS = 0.1
"""Window for deciding whether there is a voice."""
_ABSENT_DB, _PRESENT_DB = -40.0, -25.0
"""Level of the voice relative to the mix at which nothing is restored, and at which all of `_SHARE` is."""
_SHARE = 0.35
"""Share of the remaining sound that is restored where there is a voice. All constants were tuned on theatre clips of
synthetic and recorded voices, by the correlation of the speech's loudness with the true one (docs/evaluation.md)."""
_TINY = 1e-10


def restore_speech(
    mix: Float[np.ndarray, "s c"], speech: Float[np.ndarray, "s c"], sample_rate: int
) -> Float[np.ndarray, "s c"]:
    """Restores a voice, float32 [s, channels], from a mix and an enhancer's estimate of the voice in it.

    The estimate is first scaled to the level that explains most of the mix (least squares over a second, which restores
    a voice alone exactly); then, where there is a voice, a share of the other sound is added. Silence stays silence.
    """
    mix, voice = np.asarray(mix, np.float64), np.asarray(speech, np.float64)
    window = round(_LEVEL_SECONDS * sample_rate)
    gain = _mean(mix * voice, window) / (_mean(voice * voice, window) + _TINY)
    voice = voice * np.clip(gain, 1, _MAX_GAIN)
    window = round(_PRESENCE_SECONDS * sample_rate)
    ratio = (_mean(voice * voice, window) + _TINY * 10 ** (_ABSENT_DB / 10)) / (
        _mean(mix * mix, window) + _TINY
    )
    presence = np.clip((10 * np.log10(ratio) - _ABSENT_DB) / (_PRESENT_DB - _ABSENT_DB), 0, 1)
    return (voice + _SHARE * presence * (mix - voice)).astype(np.float32)


def _mean(x: np.ndarray, window: int) -> np.ndarray:
    """Moving average along time, mirrored at the ends."""
    from scipy.ndimage import uniform_filter1d

    return np.maximum(uniform_filter1d(x, max(window, 1), axis=0, mode="reflect"), 0)
