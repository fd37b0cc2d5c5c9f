"""Speech-like sound for fitting SyncSynth, from a generator that the theatre does not use.

Pulses and breath pass through smooth spectral peaks that change from syllable to syllable. There are no words, and no
model of a glottis or of formants: the network should learn when a voice is loud, not how voices are produced.
"""

from dataclasses import dataclass

import numpy as np

from mtv_jax.names import TRACK_RATE

"""Hz."""
_WINDOW, _HOP = 400, 200


@dataclass(frozen=True)
class _Burst:
    """A syllable or a hiss: seconds from start to end, its level in 0..1, how sharply it begins (0..1)."""

    start: float
    end: float
    level: float
    attack: float
    voiced: bool


def babble(rng: np.random.Generator, num_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """About one voice, float64 [s] at 16 kHz with peak 1, and how loud its vowels are meant to be, [s] in 0..1."""
    times = np.arange(num_samples) / TRACK_RATE
    bursts = _bursts(rng, num_samples / TRACK_RATE)
    vowels, hisses = (_envelope([b for b in bursts if b.voiced is kind], times) for kind in (True, False))
    voiced = _colour(rng, _pulses(rng, times), bursts, (250, 3200))
    breath = _colour(rng, rng.standard_normal(num_samples), bursts, (2500, 7000))
    wave = voiced * vowels + rng.uniform(0.1, 0.5) * breath * hisses
    return wave / max(float(np.abs(wave).max(initial=0.0)), 1e-9), vowels


def _bursts(rng: np.random.Generator, seconds: float) -> list[_Burst]:
    """Phrases with pauses between. Pace, pauses and share of hisses are the voice's own."""
    pace, pause, hiss = rng.uniform(0.1, 0.34), rng.uniform(0.1, 0.6), rng.uniform(0, 0.5)
    bursts, now = [], rng.uniform(-0.2, 0.5)
    while now < seconds:
        for _ in range(int(rng.integers(1, 7))):
            if rng.random() < hiss:
                length = rng.uniform(0.04, 0.12)
                bursts.append(_Burst(now, now + length, rng.uniform(0.2, 0.8), rng.random(), False))
                now += length
            length = pace * rng.uniform(0.7, 1.5)
            bursts.append(_Burst(now, now + length, rng.uniform(0.25, 1.0), rng.random(), True))
            now += length * rng.uniform(0.8, 1.1)
        now += pause * rng.uniform(0.4, 1.6)
    return bursts


def _envelope(bursts: list[_Burst], times: np.ndarray) -> np.ndarray:
    """The loudest burst at each time, [s]: each rises to its peak and falls, early or late."""
    level = np.zeros_like(times)
    for burst in bursts:
        first, last = np.searchsorted(times, (burst.start, burst.end))
        phase = (times[first:last] - burst.start) / (burst.end - burst.start)
        peak = 0.6 - 0.45 * burst.attack
        slope = np.minimum(phase / peak, (1 - phase) / (1 - peak))
        level[first:last] = np.maximum(level[first:last], burst.level * np.sin(np.pi / 2 * slope.clip(0, 1)))
    return level


def _pulses(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """A pulse a period of a gliding pitch between 80 and 320 Hz, over breath, [s]."""
    knots = rng.uniform(80, 280) * rng.uniform(0.85, 1.15, 6)
    pitch = np.interp(times, np.linspace(0, times[-1], len(knots)), knots)
    beats = np.diff(np.floor(np.cumsum(pitch) / TRACK_RATE), prepend=0.0)
    return beats * np.sqrt(TRACK_RATE / pitch) + rng.uniform(0.02, 0.3) * rng.standard_normal(len(times))


def _colour(
    rng: np.random.Generator, source: np.ndarray, bursts: list[_Burst], band: tuple[float, float]
) -> np.ndarray:
    """The source through three bumps of the spectrum that glide from burst to burst, with RMS about 1, [s]."""
    hops = len(source) // _HOP + 1
    window = np.sin(np.pi * (np.arange(_WINDOW) + 0.5) / _WINDOW)
    padded = np.pad(source, (_HOP, _HOP + hops * _HOP - len(source)))
    pieces = padded[_HOP * np.arange(hops)[:, None] + np.arange(_WINDOW)] * window
    shaped = np.fft.irfft(np.fft.rfft(pieces) * _bumps(rng, bursts, hops, band), _WINDOW)
    shaped *= window / np.maximum(np.sqrt((shaped**2).mean(axis=1, keepdims=True)), 1e-6)
    result = np.zeros(len(padded))
    result[: hops * _HOP] += shaped[:, :_HOP].ravel()
    result[_HOP : (hops + 1) * _HOP] += shaped[:, _HOP:].ravel()
    return result[_HOP:][: len(source)]


def _bumps(
    rng: np.random.Generator, bursts: list[_Burst], hops: int, band: tuple[float, float]
) -> np.ndarray:
    """Gains [hops, _WINDOW // 2 + 1]."""
    hz = np.fft.rfftfreq(_WINDOW, 1 / TRACK_RATE)
    times = np.arange(hops) * _HOP / TRACK_RATE
    middles = [(burst.start + burst.end) / 2 for burst in bursts] or [0.0]
    gains = np.full((hops, len(hz)), 0.003)
    for loudness in (1.0, 0.5, 0.2):
        places = np.exp(rng.uniform(np.log(band[0]), np.log(band[1]), len(middles)))
        centre = np.interp(times, middles, places)[:, None]
        gains += loudness * np.exp(-(((hz - centre) / (60 + 0.12 * centre)) ** 2))
    return gains
