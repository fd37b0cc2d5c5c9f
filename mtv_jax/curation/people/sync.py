"""Whether a voice is that of the mouth in view.

When people speak, the jaw is low where the voice is loud, and the mouth moves where it is loud and where its level
changes. Three correlations say how well that holds, at each shift of the sound against the picture; their mean is high
near no shift at all if, and with some luck only if, the mouth is the one that speaks.
"""

from dataclasses import dataclass

import numpy as np

from mtv_jax.curation.people.mouths import Mouth
from mtv_jax.typing import Bool, Float

MAX_SHIFT = 1.0
"""Seconds that the sound is shifted by, to see whether no shift is best."""
EARLY, LATE = 0.07, 0.14
"""Seconds by which the voice may come too early and too late, and still be in sync. Sound late by this much is common
and hardly noticed (ITU-R BT.1359 accepts .09 s early and .185 s late)."""
_TREND = 1.5
"""Seconds over which trends are taken out: a turning head, a louder sentence."""
_SMOOTH = 0.033
"""Seconds, sigma of what the signals are smoothed by."""
_BAND = (200.0, 4000.0)
"""Hz; of a voice."""


@dataclass(frozen=True)
class Voice:
    """A voice by frames of a clip, [F] each: its level (compressed, as loudness is), and how fast that changes."""

    level: Float[np.ndarray, "F"]
    change: Float[np.ndarray, "F"]


def voice_of(samples: Float[np.ndarray, "s"], sample_rate: int, fps: float, frames: int) -> Voice:
    """The voice of a clip at its frames."""
    power = _power(samples, sample_rate, fps, frames)
    change = np.abs(np.gradient(np.log10(power + 1e-4 * max(power.max(), 1e-20))))
    return Voice(_steady(power**0.3, fps), _steady(change, fps))


def _power(samples: np.ndarray, sample_rate: int, fps: float, frames: int) -> np.ndarray:
    """Of the voice's band, in windows of two frames around each frame's middle, [F]."""
    half = round(sample_rate / fps)
    padded = np.pad(samples, (half, 2 * half))
    starts = np.round((np.arange(frames) + 0.5) * sample_rate / fps).astype(int)
    starts = np.minimum(starts, len(padded) - 2 * half)
    windows = padded[starts[:, None] + np.arange(2 * half)] * np.hanning(2 * half)
    bins = np.fft.rfftfreq(2 * half, 1 / sample_rate)
    spectrum = np.abs(np.fft.rfft(windows)) ** 2
    return spectrum[:, (bins >= _BAND[0]) & (bins < _BAND[1])].sum(axis=1)


def _steady(signal: np.ndarray, fps: float) -> np.ndarray:
    """Smoothed, and without its trend."""
    half = max(1, round(3 * _SMOOTH * fps))
    bell = np.exp(-0.5 * (np.arange(-half, half + 1) / (_SMOOTH * fps)) ** 2)
    smooth = _convolved(signal, bell / bell.sum())
    width = 2 * min(round(_TREND * fps / 2), (len(signal) - 1) // 2) + 1
    return smooth - _convolved(smooth, np.ones(width) / width)


def _convolved(signal: np.ndarray, window: np.ndarray) -> np.ndarray:
    half = len(window) // 2
    return np.convolve(np.pad(signal, half, mode="reflect"), window, "valid")


def agreement(mouth: Mouth, voice: Voice, fps: float, counted: Bool[np.ndarray, "F"]) -> np.ndarray:
    """How well a mouth and a voice agree, -1 to 1, by frames of shift of the voice: [2 * MAX_SHIFT * fps + 1].

    The middle is no shift; after it the voice is moved to an earlier time, so that a peak there tells of a voice that
    comes late. Only the `counted` frames of the picture count; NaN where fewer than half a second are left. Shifts
    leave fewer frames, which agree by chance more easily: correlations are reduced by the root of the share left.
    """
    reach = round(MAX_SHIFT * fps)
    opening, motion = _steady(mouth.opening, fps), _steady(mouth.motion, fps)
    frames = mouth.first + np.arange(len(opening))
    counts = counted[frames[frames < len(counted)]]
    frames, opening, motion = frames[: len(counts)], opening[: len(counts)], motion[: len(counts)]
    found = np.full(2 * reach + 1, np.nan)
    for number, shift in enumerate(range(-reach, reach + 1)):
        used = counts & (frames + shift >= 0) & (frames + shift < len(voice.level))
        if used.sum() >= 0.5 * fps:
            heard = frames[used] + shift
            level, change = voice.level[heard], voice.change[heard]
            pairs = ((opening[used], level), (motion[used], level), (motion[used], change))
            share = used.sum() / max(counts.sum(), 1)
            found[number] = np.sqrt(share) * np.mean([_correlation(a, b) for a, b in pairs])
    return found


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-12))


def near(agreements: np.ndarray, fps: float) -> np.ndarray:
    """Those of `agreement` at shifts that are in sync."""
    middle = len(agreements) // 2
    return agreements[middle - round(EARLY * fps) : middle + round(LATE * fps) + 1]
