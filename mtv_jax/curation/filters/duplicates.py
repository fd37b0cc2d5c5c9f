"""Clips that are in more than one source: equal files, and other encodings of the same picture and sound.

A dubbed film is no duplicate of the original, nor is another moment of the same still shot: both the pictures and the
sounds have to match. Candidates come from an index of parts of the picture hashes, so the time grows with the number of
clips and not with its square.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.curation.config import DuplicatesConfig
from mtv_jax.curation.filters.fingerprints import (
    HASH_RATE,
    from_text,
    picture_hashes,
    sound_hashes,
    to_text,
)
from mtv_jax.curation.roles import Evidence, scores
from mtv_jax.io.audio import read_audio
from mtv_jax.io.files import sha256
from mtv_jax.io.video import read_video

_FPS = 2

_MOST_IN_PART = 1024
"""Frames with an equal part of their hashes, above which the part is skipped: that many pairs say nothing."""
_SHIFTS = range(-6, 7)
"""Offsets of sound hashes that are tried, 46 ms each: cuts of two encodings differ by a frame or a few."""


@dataclass(frozen=True)
class Alike:
    """Clips of different films that are alike, whether they are kept or not.

    Attributes:
      pairs: ids of two clips with similar pictures and sounds.
      files: of clips with equal files, film and id of each, sorted by id.
    """

    pairs: Sequence[Sequence[str]] = ()
    files: Sequence[Sequence[Sequence[str]]] = ()

    @property
    def clips(self) -> set[str]:
        """All of their ids."""
        paired = {clip for pair in self.pairs for clip in pair}
        return paired | {clip for group in self.files for _, clip in group}


@dataclass(frozen=True)
class _Print:
    """Attributes:
    clip: its id.
    film: its source; clips of one film are not compared, since they may overlap on purpose.
    sha256: of its file.
    pictures: `picture_hashes` of its frames, uint64 [n].
    sounds: `sound_hashes` of its mix, uint32 [m].
    """

    clip: str
    film: str
    sha256: bytes
    pictures: np.ndarray
    sounds: np.ndarray


def fingerprint(clip: Path, mix: Path) -> Evidence:
    """What a clip (video file and sound file) is compared by: `sha256` of the video file, `pictures`, `sounds`."""
    frames, _ = read_video(clip, fps=_FPS)
    sounds = sound_hashes(read_audio(mix, HASH_RATE))
    return scores(sha256=sha256(clip), pictures=to_text(picture_hashes(frames)), sounds=to_text(sounds))


def find_alike(prints: Iterable[tuple[str, str, Mapping[str, Any]]], config: DuplicatesConfig) -> Alike:
    """The clips that repeat each other, of `prints`: id, film, and evidence of `fingerprint`, of each clip.

    It depends on no order, and on no threshold but its own.
    """
    clips = sorted(
        (_read(clip, film, evidence) for clip, film, evidence in prints), key=lambda print_: print_.clip
    )
    _, films = np.unique([clip.film for clip in clips], return_inverse=True)
    found = candidate_pairs([clip.pictures for clip in clips], films, config.max_picture_bits)
    pairs = [(clips[a].clip, clips[b].clip) for a, b in found if _is_duplicate(clips[a], clips[b], config)]
    return Alike(pairs, _by_file(clips))


def repeated(alike: Alike, passing: Collection[str]) -> dict[str, str]:
    """Clip id -> id of the clip of another film that it repeats, of those that are `passing` otherwise.

    Of a group of equal clips, whose members may be alike through others, that with the smallest id is kept.
    """
    groups = _Groups()
    for a, b in alike.pairs:
        if a in passing and b in passing:
            groups.join(a, b)
    for group in alike.files:
        films: dict[str, str] = {}
        for film, clip in group:
            if clip in passing:
                films.setdefault(film, clip)
        first, *others = list(films.values()) or [""]
        for clip in others:
            groups.join(first, clip)
    members = sorted(clip for clip in alike.clips if clip in passing)
    return {clip: groups.first(clip) for clip in members if groups.first(clip) != clip}


def _read(clip: str, film: str, print_: Mapping[str, Any]) -> _Print:
    pictures, sounds = from_text(print_["pictures"], np.uint64), from_text(print_["sounds"], np.uint32)
    return _Print(clip, film, print_["sha256"].encode(), pictures, sounds)


def _by_file(clips: Sequence[_Print]) -> list[list[tuple[str, str]]]:
    """Clips with equal files, where they are of two films or more."""
    found: dict[bytes, list[tuple[str, str]]] = {}
    for clip in clips:
        found.setdefault(clip.sha256, []).append((clip.film, clip.clip))
    return [group for group in found.values() if len({film for film, _ in group}) > 1]


def _is_duplicate(a: _Print, b: _Print, config: DuplicatesConfig) -> bool:
    """Whether pictures and sounds match; without sound the pictures have to match twice as well."""
    silent = not len(a.sounds) and not len(b.sounds)
    bits = config.max_picture_bits / 2 if silent else config.max_picture_bits
    if picture_distance(a.pictures, b.pictures) > bits:
        return False
    return silent or sound_distance(a.sounds, b.sounds) <= config.max_sound_distance


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


def candidate_pairs(
    pictures: Sequence[np.ndarray], films: np.ndarray, most_bits: float
) -> Iterator[tuple[int, int]]:
    """Pairs of indices of clips of different films, sorted, each once, any frames of which have similar hashes.

    Of the pairs of frames with hashes at most `most_bits` apart, only ones with an equal 16-bit part are found.
    """
    places = np.repeat(np.arange(len(pictures)), [len(hashes) for hashes in pictures])
    hashes = np.concatenate([np.zeros(0, np.uint64), *pictures])
    parts = hashes.view(np.uint16).reshape(-1, 4).T
    found = [_similar(part, places, hashes, films, most_bits) for part in parts]
    for pair in np.unique(np.concatenate(found)):
        yield divmod(int(pair), len(pictures))


def _similar(
    keys: np.ndarray, places: np.ndarray, hashes: np.ndarray, films: np.ndarray, most_bits: float
) -> np.ndarray:
    """Of pairs a < b of the places of similar hashes with equal keys, a x the number of clips + b: int64 [n]."""
    sizes = np.bincount(keys)[keys]
    rows = np.flatnonzero((sizes > 1) & (sizes <= _MOST_IN_PART))
    rows = rows[np.lexsort((keys[rows], -sizes[rows]))]  # the largest groups first
    keys, places, hashes, sizes = keys[rows], places[rows], hashes[rows], sizes[rows]
    pairs, falling = [np.zeros(0, np.int64)], -sizes
    for step in range(1, int(sizes[0]) if len(rows) else 0):  # each row against that so many rows below
        end = int(np.searchsorted(falling, -step))  # the groups that have as many
        first = np.flatnonzero(keys[: end - step] == keys[step:end])
        near = first[np.bitwise_count(hashes[first] ^ hashes[first + step]) <= most_bits]
        a, b = places[near], places[near + step]
        other = films[a] != films[b]
        a, b = a[other], b[other]
        pairs.append(np.unique(np.minimum(a, b) * len(films) + np.maximum(a, b)))
    return np.concatenate(pairs)


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
