"""What SyncNet takes: MFCC of 16-bit sound, and pictures as OpenCV reads them.

The coefficients are those of python_speech_features 0.6 with all its defaults, in double precision. Loudness matters,
so the sound has to be in the range of 16-bit integers.
"""

from functools import cache

import numpy as np
from jaxtyping import Float, Int, UInt8

from mtv_jax.models.syncnet.model import CEPSTRA, CONTEXT, WINDOW

SAMPLE_RATE = 16_000
FPS = 25
"""Frames a second of the pictures."""
SOUND_FRAMES = 4
"""Frames of sound (10 ms) in a frame of pictures (40 ms)."""
_LENGTH, _STEP = 400, 160
"""Samples of a frame of sound, and from one to the next."""
_POINTS = 512
_FILTERS = 26
_EMPHASIS = 0.97
_LIFTER = 22
_EPSILON = np.finfo(float).eps


def to_int16(sound: Float[np.ndarray, "s"]) -> Int[np.ndarray, "s"]:
    """Sound of full scale +-1 as 16-bit integers, rounded and clipped as FFmpeg does."""
    return np.clip(np.rint(np.asarray(sound, np.float64) * 2**15), -(2**15), 2**15 - 1).astype(np.int16)


def mfcc(sound: Int[np.ndarray, "s"]) -> Float[np.ndarray, "f c"]:
    """The cepstra of 16-bit sound at 16 kHz, [frames, 13]: a frame each 10 ms, the last one padded with zeros.

    The first coefficient is the logarithm of the frame's energy.
    """
    power = power_spectrum(sound)
    energies = np.log(_nonzero(power @ mel_filters().T))
    cepstra = energies @ _cosines() * _lifter()
    cepstra[:, 0] = np.log(_nonzero(power.sum(1)))
    return cepstra


def power_spectrum(sound: Int[np.ndarray, "s"]) -> Float[np.ndarray, "f b"]:
    """|FFT|^2 / 512 of the frames of emphasised sound, without window: [frames, 257]."""
    samples = np.asarray(sound, np.float64)
    emphasised = np.append(samples[:1], samples[1:] - _EMPHASIS * samples[:-1])
    count = 1 + max(0, -(-(len(samples) - _LENGTH) // _STEP))
    padded = np.pad(emphasised, (0, (count - 1) * _STEP + _LENGTH - len(emphasised)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _LENGTH)[::_STEP]
    return np.abs(np.fft.rfft(frames, _POINTS)) ** 2 / _POINTS


@cache
def mel_filters() -> Float[np.ndarray, "m b"]:
    """Triangles between the bins nearest below points that are equally spaced in mel, 0 to 8 kHz: [26, 257]."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, _FILTERS + 2) / 2595) - 1)
    edges = np.floor((_POINTS + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(_POINTS // 2 + 1)
    filters = np.zeros((_FILTERS, len(bins)))
    for number, (left, centre, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rising, falling = (left <= bins) & (bins < centre), (centre <= bins) & (bins < right)
        filters[number, rising] = ((bins - left) / max(centre - left, 1))[rising]
        filters[number, falling] = ((right - bins) / max(right - centre, 1))[falling]
    return filters


def audio_windows(cepstra: Float[np.ndarray, "f c"], count: int) -> Float[np.ndarray, "n c w"]:
    """The sound of each of `count` frames of pictures: cepstra 4 i to 4 i + 19, as float32 [count, 13, 20].

    Raises ValueError for fewer frames of sound than that needs.
    """
    needed = SOUND_FRAMES * (count - 1) + WINDOW
    if count < 1 or len(cepstra) < needed:
        raise ValueError(f"{count} windows need {needed} frames of sound, there are {len(cepstra)}")
    windows = np.lib.stride_tricks.sliding_window_view(cepstra, WINDOW, axis=0)
    return windows[: needed - WINDOW + 1 : SOUND_FRAMES].astype(np.float32)


def video_input(crops: UInt8[np.ndarray, "f h w 3"]) -> Float[np.ndarray, "f h w 3"]:
    """RGB pictures as the network takes them: blue, green, red, in 0 to 255."""
    return crops[..., ::-1].astype(np.float32)


def num_windows(frames: int, samples: int) -> int:
    """How many positions of a clip are compared: as in the original, five fewer than frames that have sound."""
    return max(0, min(frames, samples * FPS // SAMPLE_RATE) - CONTEXT)


def nearest_frames(times: Float[np.ndarray, "f"], end: float, fps: float = FPS) -> Int[np.ndarray, "n"]:
    """Converts a frame rate by time stamps: for each i / fps before `end`, the index of the frame nearest in time.

    Args:
      times: starts of the frames, seconds, rising; the first is time 0.
      end: of the last frame, seconds.
      fps: frames per second of the result. Of two frames that are equally near the earlier one is taken.
    """
    wanted = times[0] + np.arange(max(1, round((end - times[0]) * fps))) / fps
    after = np.searchsorted(times, wanted).clip(1, max(len(times) - 1, 1))
    before = after - 1
    later = np.abs(times.take(after, mode="clip") - wanted) < np.abs(times[before] - wanted) - 1e-9
    return np.where(later, np.minimum(after, len(times) - 1), before)


def _nonzero(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return np.where(values == 0, _EPSILON, values)


@cache
def _cosines() -> Float[np.ndarray, "m c"]:
    """The first 13 cosines of the orthonormal DCT of type 2."""
    angles = np.pi * (np.arange(_FILTERS)[:, None] + 0.5) * np.arange(CEPSTRA) / _FILTERS
    return np.cos(angles) * np.sqrt(np.where(np.arange(CEPSTRA), 2, 1) / _FILTERS)


@cache
def _lifter() -> Float[np.ndarray, "c"]:
    return 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / _LIFTER)
