"""The voice activity detector hears what follows a silence with and without what came before."""

import numpy as np

from mtv_jax.curation.adapters.silero import CHUNK, Silero


class Tiring:
    """A recurrent detector that hears the second to fourth chunk from its start on, and nothing more."""

    def __init__(self):
        self.heard = 99

    def reset(self):
        self.heard = 0

    def process_samples(self, samples):
        self.heard += 1
        return float(np.abs(samples).max() > 0 and 2 <= self.heard <= 4)


def heard(*silent):
    silero = Silero()
    vars(silero)["_detector"] = Tiring()
    sound = np.ones(12 * CHUNK - 5, np.float32)
    for chunk in silent:
        sound[chunk * CHUNK : (chunk + 1) * CHUNK] = 0
    return silero.probabilities(sound).tolist()


def test_it_hears_again_after_silence():
    assert heard() == [0, 1, 1, 1] + [0] * 8
    assert heard(5) == [0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0]


def test_a_silence_costs_nothing_that_was_heard():
    assert (
        heard(2) == [0, 1, 0, 1, 1, 1, 1] + [0] * 5
    )  # the fourth is heard by what came before, the others anew
