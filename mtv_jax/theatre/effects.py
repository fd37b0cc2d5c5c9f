"""One strike of each prop, synthesised: float64 [s], its onset at sample 0, of any level."""

import numpy as np

# Of a struck bell, by the frequency of its strike note: ratio, level, decay in seconds (hum to nominal; rounded).
_PARTIALS = (
    (0.5, 0.5, 0.7),
    (1.0, 1.0, 0.5),
    (1.2, 0.7, 0.4),
    (1.5, 0.5, 0.35),
    (2.0, 0.9, 0.3),
    (3.0, 0.4, 0.15),
)


def strike(rng: np.random.Generator, prop: str, sample_rate: int) -> np.ndarray:
    """A strike of a prop of `plan.PROPS`; each draw differs."""
    maker = {"drum": _drum, "bell": _bell, "door": _door, "ball": _ball}[prop]
    return maker(rng, sample_rate)


def _drum(rng: np.random.Generator, rate: int) -> np.ndarray:
    """A thump that falls in pitch, with a click of the stick."""
    t = np.arange(round(0.45 * rate)) / rate
    low = 55 + 20 * rng.random()
    body = np.sin(2 * np.pi * _sweep(t, 2.4 * low, low, 0.04)) * np.exp(-t / 0.12)
    return body + 0.35 * rng.standard_normal(len(t)) * np.exp(-t / 0.008)


def _bell(rng: np.random.Generator, rate: int) -> np.ndarray:
    """Inharmonic partials, each with its own decay."""
    t = np.arange(round(1.2 * rate)) / rate
    note = 700 + 500 * rng.random()
    ratio, level, decay = np.array(_PARTIALS).T[..., None]
    return np.sum(level * np.sin(2 * np.pi * note * ratio * t) * np.exp(-t / decay), axis=0)


def _door(rng: np.random.Generator, rate: int) -> np.ndarray:
    """A wooden knock, then a soft creak."""
    t = np.arange(round(0.5 * rate)) / rate
    tone = np.array([190, 430, 760])[:, None] * (0.9 + 0.2 * rng.random((3, 1)))
    decay = np.array([0.05, 0.03, 0.02])[:, None]
    wood = np.sum(np.sin(2 * np.pi * tone * t) * np.exp(-t / decay), axis=0)
    knock = wood + 0.8 * rng.standard_normal(len(t)) * np.exp(-t / 0.012)
    creak = 2 * (_sweep(t, 90 + 60 * rng.random(), 180, 0.3) % 1) - 1
    swell = np.clip(np.sin(np.pi * (t - 0.08) / 0.4), 0, 1) * (t > 0.08)
    return knock + 0.12 * creak * swell


def _ball(rng: np.random.Generator, rate: int) -> np.ndarray:
    """A short rubbery thud."""
    t = np.arange(round(0.25 * rate)) / rate
    low = 210 + 80 * rng.random()
    thud = np.sin(2 * np.pi * _sweep(t, 1.6 * low, low, 0.02)) * np.exp(-t / 0.035)
    ring = 0.3 * np.sin(2 * np.pi * 4.1 * low * t) * np.exp(-t / 0.05)
    return thud + ring + 0.3 * rng.standard_normal(len(t)) * np.exp(-t / 0.004)


def _sweep(t: np.ndarray, first: float, last: float, tau: float) -> np.ndarray:
    """Cycles of a tone that goes from `first` to `last` Hz with the time constant `tau`."""
    return last * t + (first - last) * tau * (1 - np.exp(-t / tau))
