"""Random music and random sound effects, which the effects mask is trained on (`train_effects_mask.py`).

All waves are float64 [s] at 16 kHz. Music is synthetic: chords of the theatre, and ensembles of pads, plucked strings,
a bass, a melody and drums. Effects are synthetic (struck, thrown, blown) or recorded one-shots that the caller passes.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from mtv_jax.names import TRACK_RATE
from mtv_jax.theatre.effects import strike
from mtv_jax.theatre.music import play
from mtv_jax.theatre.plan import PROPS, TIMBRES
from mtv_jax.theatre.speech import draw_voice, speak
from mtv_jax.theatre.stage import Mood

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 7, 9))
"""Semitones: major, minor, dorian, pentatonic."""


# --- music


def music(rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """Music with an RMS of 1: of the theatre (a third) or of a random ensemble."""
    if rng.random() < 0.3:
        mood = Mood(float(rng.random()), float(rng.random()))
        wave = play(rng, mood, str(rng.choice(TIMBRES)), num_samples, TRACK_RATE)
    else:
        wave = _ensemble(rng, num_samples)
    if rng.random() < 0.5:
        wave = _room(rng, wave, longest=1.2)
    if rng.random() < 0.5:
        wave = _filtered(wave, rng.uniform(2500, 7000), "lowpass")
    return wave / max(_rms(wave), 1e-9)


def _ensemble(rng: np.random.Generator, num_samples: int) -> np.ndarray:
    beat = 60 / rng.uniform(60, 170)
    scale = _SCALES[int(rng.integers(len(_SCALES)))]
    root = int(rng.integers(36, 60))
    bar = int(rng.choice([2, 3, 4])) * beat
    degrees = rng.integers(0, len(scale), 16)
    parts: list[tuple[float, Callable[..., np.ndarray]]] = [
        (0.6, _pad),
        (0.6, _arpeggio),
        (0.5, _bass),
        (0.5, _melody),
        (0.4, _strummed),
    ]
    chosen = [part for chance, part in parts if rng.random() < chance] or [_arpeggio]
    wave = np.zeros(num_samples)
    for part in chosen:
        layer = part(rng, num_samples, beat, bar, root, scale, degrees)
        wave += layer / max(_rms(layer), 1e-9) * 10 ** (rng.uniform(-10, 0) / 20)
    if rng.random() < 0.35:
        layer = _drum_kit(rng, num_samples, beat)
        wave += layer / max(_rms(layer), 1e-9) * _rms(wave) * 10 ** (rng.uniform(-20, -4) / 20)
    return wave


def _degree(scale: Sequence[int], degree: int) -> int:
    """Semitones of a degree of a scale, which may exceed an octave."""
    return 12 * (degree // len(scale)) + scale[degree % len(scale)]


class _Instrument:
    """A timbre: how harmonics fall off, how long notes ring, how they begin."""

    def __init__(self, rng: np.random.Generator, sustained: bool):
        self.falloff = rng.uniform(0.8, 2.5)
        self.levels = rng.uniform(0.2, 1.0, 24)
        self.stiffness = 0.0 if sustained else 10 ** rng.uniform(-5, -3)
        self.attack = rng.uniform(0.01, 0.3) if sustained else rng.uniform(0.001, 0.012)
        self.decay = rng.uniform(1.0, 6.0) if sustained else rng.uniform(0.15, 1.5)
        self.damping = rng.uniform(0.0, 0.2) if sustained else rng.uniform(0.1, 1.0)
        self.vibrato = (rng.uniform(0, 0.006), rng.uniform(4, 7)) if sustained else (0.0, 0.0)
        self.noise = rng.uniform(0, 0.03)

    def note(self, rng: np.random.Generator, pitch: float, seconds: float) -> np.ndarray:
        hz = 440 * 2 ** ((pitch - 69) / 12)
        times = np.arange(max(round(seconds * TRACK_RATE), 8)) / TRACK_RATE
        depth, rate = self.vibrato
        phase = hz * (times - depth / max(2 * np.pi * rate, 1e-9) * np.cos(2 * np.pi * rate * times))
        wave = np.zeros_like(times)
        for k in range(1, len(self.levels) + 1):
            ratio = k * np.sqrt(1 + self.stiffness * k * k)
            if ratio * hz > 0.45 * TRACK_RATE:
                break
            ring = np.exp(-times * (1 + self.damping * (k - 1)) / self.decay)
            wave += self.levels[k - 1] * k**-self.falloff * ring * np.sin(2 * np.pi * ratio * phase)
        wave += self.noise * rng.standard_normal(len(times)) * np.exp(-times / 0.05)
        return wave * np.clip(times / self.attack, 0, 1) * np.clip((times[-1] - times) / 0.03, 0, 1)


def _put(track: np.ndarray, wave: np.ndarray, second: float) -> None:
    """Adds a wave to a track, from a time on."""
    start = round(second * TRACK_RATE)
    part = wave[max(-start, 0) : max(len(track) - start, 0)]
    track[max(start, 0) : max(start, 0) + len(part)] += part


def _pad(rng, num_samples, beat, bar, root, scale, degrees):
    """A chord a bar, sustained."""
    track, instrument = np.zeros(num_samples), _Instrument(rng, sustained=True)
    start = -rng.random() * bar
    for number in range(int(num_samples / TRACK_RATE / bar) + 2):
        for step in (0, 2, 4):
            pitch = root + 12 + _degree(scale, int(degrees[number % 16]) + step)
            for detune in (0.0, rng.normal(0, 0.06)):
                _put(track, instrument.note(rng, pitch + detune, bar + 0.05), start + number * bar)
    return track


def _arpeggio(rng, num_samples, beat, bar, root, scale, degrees):
    """Broken chords, plucked or struck."""
    track, instrument = np.zeros(num_samples), _Instrument(rng, sustained=rng.random() < 0.25)
    step, order = beat / rng.choice([1, 2, 3, 4]), rng.permutation([0, 2, 4, 7])
    ring = rng.uniform(1, 6) * step
    for number in range(int(num_samples / TRACK_RATE / step) + 1):
        if rng.random() < 0.12:
            continue
        degree = int(degrees[int(number * step / bar) % 16]) + int(order[number % 4])
        loud = rng.uniform(0.5, 1.0)
        pitch = root + 12 + _degree(scale, degree)
        _put(track, loud * instrument.note(rng, pitch, ring), number * step + rng.normal(0, 0.004))
    return track


def _strummed(rng, num_samples, beat, bar, root, scale, degrees):
    """Chords in a rhythm, their notes slightly one after the other."""
    track, instrument = np.zeros(num_samples), _Instrument(rng, sustained=False)
    step, spread = beat / rng.choice([1, 2]), rng.uniform(0.0, 0.025)
    for number in range(int(num_samples / TRACK_RATE / step) + 1):
        if rng.random() < 0.25:
            continue
        for voice, degree in enumerate((0, 2, 4, 7)[: int(rng.integers(2, 5))]):
            pitch = root + 12 + _degree(scale, int(degrees[int(number * step / bar) % 16]) + degree)
            _put(track, instrument.note(rng, pitch, 1.5 * step), number * step + voice * spread)
    return track


def _bass(rng, num_samples, beat, bar, root, scale, degrees):
    """Low roots on the beats."""
    track, instrument = np.zeros(num_samples), _Instrument(rng, sustained=rng.random() < 0.5)
    for number in range(int(num_samples / TRACK_RATE / beat) + 1):
        if rng.random() < 0.3:
            continue
        pitch = root - 12 + _degree(scale, int(degrees[int(number * beat / bar) % 16]))
        _put(track, instrument.note(rng, pitch, rng.uniform(0.5, 1.0) * beat), number * beat)
    return track


def _melody(rng, num_samples, beat, bar, root, scale, degrees):
    """A line that walks along the scale."""
    track, instrument = np.zeros(num_samples), _Instrument(rng, sustained=rng.random() < 0.6)
    now, degree = 0.0, int(rng.integers(7, 14))
    while now < num_samples / TRACK_RATE:
        length = beat * float(rng.choice([0.5, 1, 1, 2]))
        degree = int(np.clip(degree + rng.integers(-2, 3), 5, 18))
        if rng.random() < 0.85:
            _put(track, instrument.note(rng, root + 12 + _degree(scale, degree), length), now)
        now += length
    return track


def _drum_kit(rng, num_samples, beat):
    """A repeated pattern of two to three drums."""
    track, step = np.zeros(num_samples), beat / rng.choice([2, 4])
    for _ in range(int(rng.integers(1, 4))):
        sound = _burst(rng) if rng.random() < 0.6 else _struck(rng)
        sound = sound[: round(0.3 * TRACK_RATE)]
        pattern = rng.random(8) < rng.uniform(0.25, 0.8)
        level = rng.uniform(0.3, 1.0)
        for number in range(int(num_samples / TRACK_RATE / step) + 1):
            if pattern[number % 8]:
                _put(track, level * sound, number * step)
    return track


# --- effects


def effect(rng: np.random.Generator, recorded: Sequence[np.ndarray] = ()) -> np.ndarray:
    """One sound effect with a peak of 1, its onset near sample 0."""
    makers = (_struck, _struck, _burst, _thump, _whoosh, _clatter, _of_the_theatre)
    if recorded and rng.random() < 0.45:
        wave = _resampled(recorded[int(rng.integers(len(recorded)))], 2 ** rng.uniform(-0.6, 0.6))
        wave = _coloured(rng, wave)
    else:
        wave = makers[int(rng.integers(len(makers)))](rng)
    if rng.random() < 0.3:
        wave = _room(rng, wave, longest=0.5)
    return wave / max(float(np.abs(wave).max(initial=0)), 1e-9)


def _of_the_theatre(rng: np.random.Generator) -> np.ndarray:
    return strike(rng, str(rng.choice(list(PROPS))), TRACK_RATE)


def _struck(rng: np.random.Generator) -> np.ndarray:
    """Metal, glass or wood: inharmonic partials, each with its own decay, and the click of the blow."""
    times = np.arange(round(1.5 * TRACK_RATE)) / TRACK_RATE
    count, lowest = int(rng.integers(2, 10)), 10 ** rng.uniform(1.9, 3.4)
    hz = lowest * np.cumprod(np.append(1, rng.uniform(1.1, 1.9, count - 1)))
    longest = 10 ** rng.uniform(-1.7, -0.1)
    wave = np.zeros_like(times)
    for number, one in enumerate(hz[hz < 7500]):
        decay = longest * rng.uniform(0.4, 1.2) / (1 + 0.3 * number)
        level = rng.uniform(0.2, 1)
        wave += level * np.sin(2 * np.pi * one * times + 6 * rng.random()) * np.exp(-times / decay)
    click = rng.standard_normal(len(times)) * np.exp(-times / rng.uniform(0.001, 0.012))
    return wave * np.clip(times / 0.001, 0, 1) + rng.uniform(0, 1.2) * click


def _burst(rng: np.random.Generator) -> np.ndarray:
    """Noise of a band that dies away: a snare, a splash, a clap, a door."""
    times = np.arange(round(1.2 * TRACK_RATE)) / TRACK_RATE
    noise = rng.standard_normal(len(times)) * np.exp(-times / 10 ** rng.uniform(-2.3, -0.6))
    return _coloured(rng, noise * np.clip(times / rng.uniform(0.0005, 0.01), 0, 1))


def _thump(rng: np.random.Generator) -> np.ndarray:
    """A low tone that falls in pitch, with some noise: a drum, a step, a boom."""
    times = np.arange(round(1.0 * TRACK_RATE)) / TRACK_RATE
    low, settle, decay = rng.uniform(40, 250), rng.uniform(0.01, 0.08), 10 ** rng.uniform(-1.6, -0.5)
    phase = low * times + low * rng.uniform(0.3, 2.5) * settle * (1 - np.exp(-times / settle))
    noise = rng.standard_normal(len(times)) * np.exp(-times / rng.uniform(0.002, 0.05))
    return np.sin(2 * np.pi * phase) * np.exp(-times / decay) + rng.uniform(0, 0.8) * noise


def _whoosh(rng: np.random.Generator) -> np.ndarray:
    """Noise that swells and fades."""
    length = round(rng.uniform(0.15, 0.9) * TRACK_RATE)
    phase = np.arange(length) / length
    swell = np.sin(np.pi * phase ** rng.uniform(0.3, 1.5)) ** rng.uniform(1, 3)
    return _coloured(rng, rng.standard_normal(length)) * swell


def _clatter(rng: np.random.Generator) -> np.ndarray:
    """Several blows in short order."""
    track = np.zeros(round(1.0 * TRACK_RATE))
    sound = (_struck, _burst, _thump)[int(rng.integers(3))](rng)[: round(0.3 * TRACK_RATE)]
    for second in np.cumsum(rng.uniform(0.02, 0.2, int(rng.integers(2, 6)))):
        _put(track, rng.uniform(0.3, 1) * sound, second - 0.02)
    return track


def effects_track(rng: np.random.Generator, num_samples: int, sounds: Sequence[np.ndarray]) -> np.ndarray:
    """Effects at random times, or one effect at even intervals, [s] with a peak of about 1."""
    track, seconds = np.zeros(num_samples), num_samples / TRACK_RATE
    mean, even = rng.uniform(0.3, 2.0), rng.random() < 0.5
    sound = sounds[int(rng.integers(len(sounds)))]
    now = rng.random() * min(mean, seconds)
    while now < seconds:
        if not even and rng.random() < 0.6:
            sound = sounds[int(rng.integers(len(sounds)))]
        _put(track, rng.uniform(0.5, 1) * sound, now)
        now += mean if even else 0.1 + rng.exponential(mean)
    return track


# --- speech, and what is common


def voice(rng: np.random.Generator, num_samples: int, recorded: Sequence[np.ndarray]) -> np.ndarray:
    """A synthetic voice, or one of the recordings from a random place in it, at another pitch: RMS 1."""
    if rng.random() < 0.5:
        wave = speak(rng, draw_voice(rng), num_samples, TRACK_RATE)
    else:
        one = _resampled(recorded[int(rng.integers(len(recorded)))], 2 ** rng.uniform(-0.3, 0.3))
        wave = np.resize(np.roll(one, -int(rng.integers(len(one)))), num_samples)
    return wave / max(_rms(wave), 1e-9)


def _coloured(rng: np.random.Generator, wave: np.ndarray) -> np.ndarray:
    """Through a random filter."""
    kind = ("lowpass", "highpass", "none", "bandpass")[int(rng.integers(4))]
    if kind == "none":
        return wave
    if kind == "bandpass":
        low = 10 ** rng.uniform(1.8, 3.5)
        return _filtered(wave, [low, min(low * rng.uniform(1.5, 8), 7600)], kind)
    return _filtered(wave, 10 ** (rng.uniform(2.8, 3.85) if kind == "lowpass" else rng.uniform(2, 3.4)), kind)


def _filtered(wave: np.ndarray, hz: float | list[float], kind: str) -> np.ndarray:
    return np.asarray(sosfilt(butter(2, hz, kind, fs=TRACK_RATE, output="sos"), wave))


def _room(rng: np.random.Generator, wave: np.ndarray, longest: float) -> np.ndarray:
    """With reverberation: noise that dies away."""
    decay = rng.uniform(0.05, longest / 3)
    times = np.arange(round(3 * decay * TRACK_RATE)) / TRACK_RATE
    tail = rng.standard_normal(len(times)) * np.exp(-times / decay)
    tail *= rng.uniform(0.1, 0.7) / np.linalg.norm(tail)
    tail[0] += 1
    return fftconvolve(wave, tail)[: len(wave)]


def _resampled(wave: np.ndarray, factor: float) -> np.ndarray:
    """Played so many times as fast."""
    return np.interp(np.arange(0, len(wave) - 1, factor), np.arange(len(wave)), wave)


def _rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave))))
