"""Clips that are in more than one source: equal files, and other encodings of the same picture and sound.

A dubbed film is no duplicate of the original, nor is another moment of the same still shot: both the pictures and the
sounds have to match. Candidates come from an index of parts of the picture hashes, so the time grows with the number of
clips and not with its square.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

_PART_BITS = 16
"""Bits of a part of a picture hash. Two clips are compared if a part of any of their frames is equal."""
_MOST_IN_PART = 256
"""Clips that share a part, above which it says nothing (a title on black, say) and is skipped."""
_SHIFTS = range(-6, 7)
"""Offsets of sound hashes that are tried, 46 ms each: cuts of two encodings differ by a frame or a few."""


@dataclass(frozen=True)
class Fingerprint:
    """What a clip is compared by.

    Attributes:
      clip: its id.
      source: its source; clips of one source are not compared.
      sha256: of its file, or of its decoded content.
      pictures: `picture_hashes` of its frames, uint64 [n].
      sounds: `sound_hashes`, uint32 [m].
    """

    clip: str
    source: str
    sha256: str
    pictures: np.ndarray
    sounds: np.ndarray


@dataclass(frozen=True)
class Duplicate:
    """Attributes:
    of: the clip that is kept, the one with the smallest id.
    kind: `exact` if the files are equal.
    """

    of: str
    kind: Literal["exact", "near"]


@dataclass(frozen=True)
class Tolerance:
    """Greatest differences of duplicates.

    Attributes:
      picture_bits: median over frames of the Hamming distance to the most similar frame, of 64. Frames of other
        pictures are 32 apart on average.
      sound_share: share of sound bits that differ at the best offset; .5 for other sounds, .35 is the bound of
        Haitsma and Kalker.
    """

    picture_bits: float = 10.0
    sound_share: float = 0.35


def find_duplicates(
    fingerprints: Iterable[Fingerprint], tolerance: Tolerance | None = None
) -> dict[str, Duplicate]:
    """Clip -> the clip of another source that it repeats, whatever the order of `fingerprints`.

    Duplicates of duplicates belong together; of such a group all but the smallest id are returned.
    """
    clips = sorted(fingerprints, key=lambda fingerprint: fingerprint.clip)
    tolerance = tolerance or Tolerance()
    first = {print_.sha256: print_.clip for print_ in reversed(clips)}
    groups = _Groups()
    for print_ in clips:
        groups.join(first[print_.sha256], print_.clip)
    for a, b in candidate_pairs(clips):
        if clips[a].source != clips[b].source and is_near(clips[a], clips[b], tolerance):
            groups.join(clips[a].clip, clips[b].clip)
    hashes = {print_.clip: print_.sha256 for print_ in clips}
    return {
        clip: Duplicate(of, "exact" if hashes[clip] == hashes[of] else "near")
        for clip, of in ((clip, groups.first(clip)) for clip in hashes)
        if clip != of
    }


def is_near(a: Fingerprint, b: Fingerprint, tolerance: Tolerance) -> bool:
    """Whether both the pictures and the sounds of two clips match; two clips without sound match by the pictures."""
    if picture_distance(a.pictures, b.pictures) > tolerance.picture_bits:
        return False
    if not len(a.sounds) and not len(b.sounds):
        return True
    return sound_distance(a.sounds, b.sounds) <= tolerance.sound_share


def picture_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Median over frames of the distance to the most similar frame of the other clip, bits; the larger of both ways.

    64 if either clip has no frames.
    """
    if not len(a) or not len(b):
        return 64.0
    bits = np.bitwise_count(a[:, None] ^ b[None, :])
    return float(max(np.median(bits.min(axis=1)), np.median(bits.min(axis=0))))


def sound_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Share of different bits at the best offset; 1 if the clips have less than half a length in common."""
    least = max(len(a), len(b)) / 2
    found = [1.0]
    for shift in _SHIFTS:
        first, second = a[max(shift, 0) :], b[max(-shift, 0) :]
        length = min(len(first), len(second))
        if length and length >= least:
            found.append(float(np.bitwise_count(first[:length] ^ second[:length]).mean()) / 32)
    return min(found)


def candidate_pairs(clips: Sequence[Fingerprint]) -> Iterator[tuple[int, int]]:
    """Indices of pairs of clips with an equal 16-bit part in any of their picture hashes, sorted, each once."""
    places = np.repeat(np.arange(len(clips)), [len(print_.pictures) for print_ in clips])
    hashes = np.concatenate([np.zeros(0, np.uint64), *(print_.pictures for print_ in clips)])
    pairs: list[np.ndarray] = []
    for part in range(64 // _PART_BITS):
        keys = (hashes >> np.uint64(part * _PART_BITS)) & np.uint64((1 << _PART_BITS) - 1)
        pairs.append(_pairs_of_equal(keys, places, len(clips)))
    for code in np.unique(np.concatenate(pairs)):
        yield int(code) // len(clips), int(code) % len(clips)


def _pairs_of_equal(keys: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Codes `a * count + b`, a < b, of the places that share a key."""
    rows = np.unique(np.stack([keys.astype(np.int64), places]), axis=1)
    starts = np.flatnonzero(np.diff(rows[0], prepend=-1))
    codes = [np.zeros(0, np.int64)]
    for start, end in zip(starts, np.append(starts[1:], rows.shape[1]), strict=True):
        members = rows[1, start:end]
        if 2 <= len(members) <= _MOST_IN_PART:
            first, second = np.triu_indices(len(members), 1)
            codes.append(members[first] * count + members[second])
    return np.unique(np.concatenate(codes))


class _Groups:
    """Disjoint groups of clips, each known by its smallest id."""

    def __init__(self):
        self._parents: dict[str, str] = {}

    def first(self, clip: str) -> str:
        parent = self._parents.get(clip, clip)
        if parent == clip:
            return clip
        self._parents[clip] = self.first(parent)
        return self._parents[clip]

    def join(self, a: str, b: str) -> None:
        small, large = sorted((self.first(a), self.first(b)))
        self._parents[large] = small
