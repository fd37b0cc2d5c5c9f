"""The sounds of things and backgrounds, synthesised: float64 [s], RMS about 1 for as long as asked."""

from collections.abc import Callable

import numpy as np

from mtv_jax.theatre.effects import strike


def sound_of(rng: np.random.Generator, kind: str, num_samples: int, rate: int) -> np.ndarray:
    """The sound of a kind (`kinds.KINDS` or `BACKGROUNDS`) that goes on for `num_samples`; each draw differs."""
    wave = _MAKERS[kind](rng, num_samples, rate)
    return wave / max(float(np.sqrt(np.mean(wave**2))), 1e-9)


def _struck(prop: str, low: float, high: float) -> Callable[[np.random.Generator, int, int], np.ndarray]:
    """Strikes of a prop of the theatre, `low` to `high` seconds apart."""

    def make(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
        wave, start = np.zeros(length), 0
        gap = rng.uniform(low, high)
        one = strike(rng, prop, rate)
        while start < length:
            part = one[: length - start]
            wave[start : start + len(part)] += part * rng.uniform(0.8, 1.0)
            start += round(gap * rng.uniform(0.9, 1.1) * rate)
        return wave

    return make


def _frog(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
    """Croaks: a pulse train of 30 to 45 Hz that excites 600 and 1400 Hz, three or four a second."""
    t = np.arange(length) / rate
    pulses, croaks = rng.uniform(30, 45), rng.uniform(2.5, 4.0)
    gate = np.clip(np.sin(2 * np.pi * croaks * t), 0, 1)
    body = np.sin(2 * np.pi * rng.uniform(560, 660) * t) + 0.6 * np.sin(
        2 * np.pi * rng.uniform(1300, 1500) * t
    )
    return gate * body * np.clip(np.sin(2 * np.pi * pulses * t), 0, 1) ** 2


def _kettle(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
    """A whistle of 2.2 to 2.8 kHz with a breath of noise."""
    t = np.arange(length) / rate
    tone = rng.uniform(2200, 2800) * (1 + 0.01 * np.sin(2 * np.pi * rng.uniform(4, 6) * t))
    return np.sin(2 * np.pi * np.cumsum(tone) / rate) + 0.12 * rng.standard_normal(length)


def _bird(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
    """Chirps that fall from 6 to 4 kHz, four to six a second."""
    t = np.arange(length) / rate
    phase = (rng.uniform(4, 6) * t + rng.random()) % 1
    tone = rng.uniform(5600, 6200) - 2000 * phase
    return (
        np.sin(2 * np.pi * np.cumsum(tone) / rate)
        * np.clip(np.sin(np.pi * phase / 0.6), 0, 1)
        * (phase < 0.6)
    )


def _car(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
    """An engine: the harmonics of 70 to 110 Hz up to 1 kHz, rough."""
    t = np.arange(length) / rate
    base = rng.uniform(70, 110)
    wave = sum(np.sin(2 * np.pi * base * n * t + rng.uniform(0, 6.3)) / n**0.7 for n in range(1, 10))
    return wave * (1 + 0.4 * np.sin(2 * np.pi * rng.uniform(11, 17) * t))


def _rain(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
    """Bright noise."""
    noise = rng.standard_normal(length + 1)
    return np.diff(noise) + 0.3 * noise[1:]


def _wind(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
    """Dark noise, below about 500 Hz, that swells."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / rate)
    dark = np.fft.irfft(spectrum / (1 + (frequency / 300) ** 2), length)
    t = np.arange(length) / rate
    return dark * (1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.3, 0.7) * t))


_MAKERS = {
    "drum": _struck("drum", 0.35, 0.5),
    "bell": _struck("bell", 0.45, 0.7),
    "frog": _frog,
    "kettle": _kettle,
    "bird": _bird,
    "car": _car,
    "rain": _rain,
    "wind": _wind,
}
