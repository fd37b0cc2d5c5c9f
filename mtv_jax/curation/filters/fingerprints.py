"""Hashes of pictures and sounds that survive another encoding, size and level.

Pictures: the signs of the 64 lowest frequencies of a reduced frame (DCT, as in the perceptual hash of C. Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). Sounds: signs of how the energies of
neighbouring bands change from one frame to the next (Haitsma and Kalker, "A Highly Robust Audio Fingerprinting
System", 2002), at fewer frames a second. A mirrored picture has another hash, as has one with other borders.
"""

import numpy as np
from PIL import Image

from mtv_jax.typing import Float, UInt8

_SIDE, _KEPT = 32, 8
_LEAST_CONTRAST = 4.0
"""Standard deviation, in levels, below which a frame has no hash: it would be that of its noise."""

HASH_RATE = 5512
"""Sample rate of the sound that is hashed, Hz."""
_WINDOW, _HOP = 2048, 256
"""Windows of 0.37 s, a hash every 46 ms."""
_BANDS, _LOW_HZ, _HIGH_HZ = 33, 300.0, 2000.0
_LEAST_RMS = 1e-4
"""Of a window (-80 dBFS): a quieter one has no hash."""


def picture_hashes(frames: UInt8[np.ndarray, "F H W 3"]) -> np.ndarray:
    """A 64-bit hash of each frame that has a picture: uint64 [n], n at most F. Blank frames have none."""
    hashes = [_picture_hash(frame) for frame in frames]
    return np.array([value for value in hashes if value is not None], np.uint64)


def _picture_hash(frame: np.ndarray) -> int | None:
    grey = Image.fromarray(frame).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    levels = np.asarray(grey, np.float64)
    if levels.std() < _LEAST_CONTRAST:
        return None
    coefficients = (_COSINES @ levels @ _COSINES.T).ravel()
    # The mean level takes part as a comparison like the others: its bit is constant and costs nothing.
    return _packed(coefficients > np.median(coefficients[1:]))


def _cosines() -> np.ndarray:
    places = (np.arange(_SIDE) + 0.5) / _SIDE
    return np.cos(np.pi * np.arange(_KEPT)[:, None] * places)


_COSINES = _cosines()


def sound_hashes(sound: Float[np.ndarray, " s"]) -> np.ndarray:
    """A 32-bit hash of each window of 0.37 s, 46 ms apart, of a sound at `HASH_RATE`: uint32 [n].

    Empty if the sound is shorter than two windows or silent in most of them.
    """
    if len(sound) < _WINDOW + _HOP:
        return np.zeros(0, np.uint32)
    frames = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[::_HOP]
    if np.median(np.sqrt((frames**2).mean(axis=1))) < _LEAST_RMS:
        return np.zeros(0, np.uint32)
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW))) ** 2
    edges = np.geomspace(_LOW_HZ, _HIGH_HZ, _BANDS + 1) * _WINDOW / HASH_RATE
    bands = np.add.reduceat(power, np.round(edges).astype(int), axis=1)[:, :_BANDS]
    rises = np.diff(np.diff(bands, axis=1), axis=0) > 0
    return np.array([_packed(row) for row in rises], np.uint32)


def _packed(bits: np.ndarray) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def to_text(hashes: np.ndarray) -> str:
    """Hashes in hexadecimal, of equal width, as evidence stores them."""
    width = hashes.dtype.itemsize * 2
    return "".join(f"{int(value):0{width}x}" for value in hashes)


def from_text(text: str, kind: type[np.unsignedinteger]) -> np.ndarray:
    """The inverse of `to_text`; `kind` is numpy's type of the hashes."""
    return np.frombuffer(bytes.fromhex(text), np.dtype(kind).newbyteorder(">")).astype(kind)
