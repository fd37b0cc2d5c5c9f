"""The voice activity detector forgets what it heard before a silence."""

import numpy as np

from mtv_jax.curation.adapters.silero import CHUNK, Silero


class Tiring:
    """A recurrent detector that hears nothing more after four chunks."""

    def __init__(self):
        self.heard = 99

    def reset(self):
        self.heard = 0

    def process_samples(self, samples):
        self.heard += 1
        return float(np.abs(samples).max() > 0 and self.heard <= 4)


def test_it_begins_anew_after_silence():
    silero = Silero()
    vars(silero)["_detector"] = Tiring()
    sound = np.ones(12 * CHUNK - 5, np.float32)
    assert silero.probabilities(sound).tolist() == [1] * 4 + [0] * 8
    sound[5 * CHUNK : 6 * CHUNK] = 0
    assert silero.probabilities(sound).tolist() == [1] * 4 + [0, 0] + [1] * 4 + [0, 0]
