"""Speech without words: a glottal source through moving formants, in syllables and pauses."""

from dataclasses import dataclass

import numpy as np

# First three formants of spoken vowels, Hz: rounded averages for men, after Peterson and Barney (1952).
_VOWELS = np.array(
    [(730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240)], np.float64
)
_BANDWIDTHS = np.array([80.0, 100.0, 140.0, 200.0])
_FOURTH = 3500.0
_WINDOW, _HOP = 512, 128


@dataclass(frozen=True)
class Voice:
    """A speaker: pitch in Hz, and how much higher than a man's its formants are."""

    pitch: float
    formants: float


@dataclass(frozen=True)
class _Syllable:
    """Seconds, level in 0..1, first three formants in Hz, and whether it begins with a hiss."""

    start: float
    length: float
    level: float
    vowel: np.ndarray
    hiss: bool


def draw_voice(rng: np.random.Generator) -> Voice:
    """A deep, a middle or a high voice, and chance within."""
    pitch, formants = ((105.0, 1.0), (160.0, 1.1), (225.0, 1.2))[int(rng.integers(3))]
    return Voice(pitch * (0.9 + 0.2 * rng.random()), formants * (0.97 + 0.06 * rng.random()))


def speak(rng: np.random.Generator, voice: Voice, num_samples: int, sample_rate: int) -> np.ndarray:
    """About one speaker's speech: float64 [s]; a loud syllable has RMS 1, pauses are exact zeros."""
    times = np.arange(num_samples) / sample_rate
    syllables = _syllables(rng, num_samples / sample_rate)
    envelope, hiss = _envelopes(syllables, times)
    voiced = _filter(_source(rng, voice, times), _formants(syllables, voice, times[::_HOP]), sample_rate)
    voiced /= np.maximum(_local_rms(voiced, sample_rate), 1e-4)
    noise = np.diff(rng.standard_normal(num_samples), prepend=0.0)
    return voiced * envelope + 0.25 * noise * hiss


def _syllables(rng: np.random.Generator, seconds: float) -> list[_Syllable]:
    """Words of one to four syllables of 0.2 to 0.34 s with pauses of 0.2 to 0.5 s between."""
    syllables, now = [], 0.3 * rng.random() * min(seconds, 1.0)
    while now < seconds:
        for _ in range(int(rng.integers(1, 5))):
            length = 0.2 + 0.14 * rng.random()
            vowel = _VOWELS[int(rng.integers(len(_VOWELS)))]
            level = 0.5 + 0.5 * rng.random()
            syllables.append(_Syllable(now, length, level, vowel, bool(rng.random() < 0.4)))
            now += length
        now += 0.2 + 0.3 * rng.random()
    return syllables


def _envelopes(syllables: list[_Syllable], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levels of voice and of hiss, [s] each: a syllable swells and fades, and is soft at both ends."""
    voice, hiss = np.zeros_like(times), np.zeros_like(times)
    for one in syllables:
        first, last = np.searchsorted(times, (one.start, one.start + one.length))
        phase = (times[first:last] - one.start) / one.length
        voice[first:last] = one.level * np.sin(np.pi * phase) ** 0.9
        if one.hiss:
            hiss[first:last] = one.level * np.clip(np.sin(np.pi * phase / 0.3), 0, 1) * (phase < 0.3)
    return voice, hiss


def _source(rng: np.random.Generator, voice: Voice, times: np.ndarray) -> np.ndarray:
    """Air through the glottis, differentiated (Rosenberg's pulse: opens for .4 of a period, closes in .2), [s]."""
    drift = 1 + 0.08 * np.sin(2 * np.pi * (0.8 + rng.random()) * times + 6 * rng.random())
    step = times[1] if len(times) > 1 else 0.0
    phase = np.cumsum(voice.pitch * drift * step) % 1
    opens = 0.5 - 0.5 * np.cos(np.pi * phase / 0.4)
    closes = np.cos(np.pi / 2 * (phase - 0.4) / 0.2)
    flow = np.where(phase < 0.4, opens, np.where(phase < 0.6, closes, 0.0))
    return np.diff(flow, prepend=0.0) + 0.004 * rng.standard_normal(len(times))


def _formants(syllables: list[_Syllable], voice: Voice, times: np.ndarray) -> np.ndarray:
    """Four formant frequencies at `times`, gliding from vowel to vowel: [hops, 4] in Hz."""
    middles = [one.start + one.length / 2 for one in syllables]
    columns = [np.interp(times, middles, [one.vowel[i] for one in syllables]) for i in range(3)]
    return voice.formants * np.stack([*columns, np.full(len(times), _FOURTH)], axis=1)


def _filter(source: np.ndarray, formants: np.ndarray, sample_rate: int) -> np.ndarray:
    """The source through resonators in series, by overlapping windows: [s]."""
    hops = len(formants)
    window = np.sin(np.pi * (np.arange(_WINDOW) + 0.5) / _WINDOW)
    padded = np.pad(source, (_WINDOW // 2, _WINDOW + hops * _HOP - len(source)))
    index = _HOP * np.arange(hops)[:, None] + np.arange(_WINDOW)
    spectrum = np.fft.rfft(padded[index] * window) * _response(formants, sample_rate)
    pieces = np.fft.irfft(spectrum, _WINDOW) * window
    result = np.zeros(len(padded))
    blocks = _WINDOW // _HOP
    for k in range(blocks):
        part = pieces[:, k * _HOP : (k + 1) * _HOP].reshape(-1)
        result[k * _HOP : k * _HOP + len(part)] += part
    return result[_WINDOW // 2 :][: len(source)] / (blocks / 2)


def _response(formants: np.ndarray, sample_rate: int) -> np.ndarray:
    """Of two-pole resonators with gain 1 at 0 Hz: complex [hops, _WINDOW // 2 + 1]."""
    z = np.exp(-2j * np.pi * np.arange(_WINDOW // 2 + 1) / _WINDOW)
    radius = np.exp(-np.pi * _BANDWIDTHS / sample_rate)
    cosine = 2 * radius * np.cos(2 * np.pi * formants / sample_rate)  # [hops, 4]
    gain = 1 - cosine + radius**2
    poles = 1 - cosine[..., None] * z + (radius**2)[:, None] * z**2
    return np.prod(gain[..., None] / poles, axis=1)


def _local_rms(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """Over 40 ms around each sample, [s]."""
    half = sample_rate // 50
    sums = np.cumsum(np.pad(wave**2, (half + 1, half)))
    return np.sqrt(np.maximum(sums[2 * half + 1 :] - sums[: -2 * half - 1], 0) / (2 * half + 1))
