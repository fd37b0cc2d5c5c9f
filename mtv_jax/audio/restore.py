"""Gives back to a voice what a speech enhancer took from it.

An enhancer leaves too little rather than too much: it turns voices down, and drops parts of them that it takes for
noise. What is to follow the loudness of a voice then sees a quieter one, with holes in it.
"""

import numpy as np

from mtv_jax.typing import Float

_LEVEL_SECONDS = 1.0
"""Over which the lost level is found."""
_MAX_GAIN = 3.0
_PRESENCE_SECONDS = 0.1
"""Over which it is judged whether there is a voice."""
_ABSENT_DB, _PRESENT_DB = -40.0, -25.0
"""Level of the voice below that of the mix at which nothing is given back, and at which all of `_SHARE` is."""
_SHARE = 0.35
"""Of what else there is, where there is a voice. All figures were chosen on theatre clips of synthetic and recorded
voices, by how well the speech's loudness follows the true one's (README, "Sound that is one file")."""
_TINY = 1e-10


def restore_speech(
    mix: Float[np.ndarray, "s c"], speech: Float[np.ndarray, "s c"], sample_rate: int
) -> Float[np.ndarray, "s c"]:
    """A fuller voice, float32 [s, channels], from a mix and what an enhancer found of the voice in it.

    First the voice is brought to the level that explains most of the mix (least squares over a second: a voice alone
    is given back whole); then, where there is a voice, it gets a share of what else there is. Silence stays silence.
    """
    mix, voice = np.asarray(mix, np.float64), np.asarray(speech, np.float64)
    window = round(_LEVEL_SECONDS * sample_rate)
    gain = _mean(mix * voice, window) / (_mean(voice * voice, window) + _TINY)
    voice = voice * np.clip(gain, 1, _MAX_GAIN)
    window = round(_PRESENCE_SECONDS * sample_rate)
    ratio = (_mean(voice * voice, window) + _TINY / 100) / (_mean(mix * mix, window) + _TINY)
    presence = np.clip((10 * np.log10(ratio) - _ABSENT_DB) / (_PRESENT_DB - _ABSENT_DB), 0, 1)
    return (voice + _SHARE * presence * (mix - voice)).astype(np.float32)


def _mean(x: np.ndarray, window: int) -> np.ndarray:
    """Moving average along time, mirrored at the ends."""
    from scipy.ndimage import uniform_filter1d

    return np.maximum(uniform_filter1d(x, max(window, 1), axis=0, mode="reflect"), 0)
