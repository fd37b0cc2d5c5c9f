"""Chords whose mode and register tell valence, and whose tempo, loudness and brightness tell energy."""

import numpy as np

from mtv_jax.theatre.stage import Mood

_THIRDS = {True: 4, False: 3}  # semitones of a major and a minor third
_STEPS = (0, 5, 7, 0)  # semitones: the roots of the first, fourth and fifth degree of either mode
_HARMONICS = 8
_LOW, _HIGH = 40.0, 66.0  # MIDI note of the root, sad to glad
_QUIET, _LOUD = -36.0, -22.0  # dBFS, calm to wild


def play(rng: np.random.Generator, mood: Mood, timbre: str, num_samples: int, sample_rate: int) -> np.ndarray:
    """Music of a mood: float64 [s] at its own level (RMS from -36 dBFS when calm to -22 when wild).

    Minor below a valence of 0.5 and major from there on, the root rising with valence from MIDI note 40 to
    66; a chord a beat; the spectrum falls off more slowly the more energy there is. `timbre` is of
    `plan.TIMBRES`.
    """
    beat = 60 / mood.tempo
    chords = int(np.ceil(num_samples / sample_rate / beat))
    major = mood.valence >= 0.5
    root = _LOW + (_HIGH - _LOW) * mood.valence
    first = int(rng.integers(4))
    wave = np.zeros(num_samples)
    for number in range(chords):
        start, end = (min(round(n * beat * sample_rate), num_samples) for n in (number, number + 1))
        step = _STEPS[(first + number) % 4]
        # An upper fourth or fifth is played below, so that chords keep the register.
        low = root + (step - 12 if step > 6 else step)
        times = np.arange(end - start) / sample_rate
        notes = (low, low + _THIRDS[major], low + 7, low + 12)
        chord = np.sum([_tone(note, times, mood.energy, timbre) for note in notes], axis=0)
        wave[start:end] = chord * _shape(times, beat, timbre)
    level = 10 ** ((_QUIET + (_LOUD - _QUIET) * mood.energy) / 20)
    return wave * (level / max(float(np.sqrt(np.mean(wave**2))), 1e-9))


def _tone(note: float, times: np.ndarray, energy: float, timbre: str) -> np.ndarray:
    """A note of eight harmonics, [s]: the sines of k times the phase, each from the two before it."""
    phase = 2 * np.pi * 440 * 2 ** ((note - 69) / 12) * times
    falloff = 2.6 - 1.6 * energy
    double = 2 * np.cos(phase)
    before, now = np.zeros_like(phase), np.sin(phase)
    total = np.zeros_like(phase)
    for k in range(1, _HARMONICS + 1):
        odd_only = timbre == "organ" and k % 2 == 0
        total += (0.3 if odd_only else 1.0) * k**-falloff * now
        before, now = now, double * now - before
    return total


def _shape(times: np.ndarray, beat: float, timbre: str) -> np.ndarray:
    """Loudness along a chord, [s]; it begins and ends at 0, so that nothing clicks."""
    edges = np.clip(times / 0.01, 0, 1) * np.clip((beat - times) / 0.02, 0, 1)
    if timbre == "plucked":
        return edges * np.exp(-times / (0.4 * beat))
    if timbre == "strings":
        return edges * (0.4 + 0.6 * np.sin(np.pi * np.clip(times / beat, 0, 1)))
    return edges
