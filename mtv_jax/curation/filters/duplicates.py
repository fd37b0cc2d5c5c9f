"""Clips that are in more than one source: equal files, and other encodings of the same picture and sound.

A dubbed film is no duplicate of the original, nor is another moment of the same still shot: both the pictures and the
sounds have to match. Candidates come from an index of parts of the picture hashes, so the time grows with the number of
clips and not with its square.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    sha256: str
    pictures: np.ndarray
    sounds: np.ndarray


def fingerprint(clip: Path, mix: Path) -> Evidence:
    """What a clip (video file and sound file) is compared by: `sha256` of the video file, `pictures`, `sounds`."""
    frames, _ = read_video(clip, fps=_FPS)
    sounds = sound_hashes(read_audio(mix, HASH_RATE))
    return scores(sha256=sha256(clip), pictures=to_text(picture_hashes(frames)), sounds=to_text(sounds))


def find_duplicates(prints: Mapping[str, Mapping[str, Any]], config: DuplicatesConfig) -> dict[str, str]:
    """Clip id -> id of the clip of another film that it repeats.

    `prints` has the evidence of `fingerprint` by clip id, and in each the id of its `film`. Of a group of equal clips,
    whose members may be alike through others, that with the smallest id is kept: the result depends on no order.
    """
    clips = [_read(clip, prints[clip]) for clip in sorted(prints)]
    groups = _Groups()
    for a, b in candidate_pairs([clip.pictures for clip in clips], config.max_picture_bits):
        if clips[a].film != clips[b].film and _is_duplicate(clips[a], clips[b], config):
            groups.join(clips[a].clip, clips[b].clip)
    for clips_of_file in _by_file(clips):
        for clip in clips_of_file[1:]:
            groups.join(clips_of_file[0], clip)
    return {clip.clip: groups.first(clip.clip) for clip in clips if groups.first(clip.clip) != clip.clip}


def _read(clip: str, print_: Mapping[str, Any]) -> _Print:
    pictures, sounds = from_text(print_["pictures"], np.uint64), from_text(print_["sounds"], np.uint32)
    return _Print(clip, print_["film"], print_["sha256"], pictures, sounds)


def _by_file(clips: Sequence[_Print]) -> Iterable[list[str]]:
    """Ids of clips with equal files, one for each film."""
    found: dict[str, dict[str, str]] = {}
    for clip in clips:
        found.setdefault(clip.sha256, {}).setdefault(clip.film, clip.clip)
    return [list(films.values()) for films in found.values()]


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


def candidate_pairs(pictures: Sequence[np.ndarray], most_bits: float) -> Iterator[tuple[int, int]]:
    """Pairs of indices of clips, sorted, each once, any frames of which have hashes at most `most_bits` apart.

    Of those pairs of frames, only ones with an equal 16-bit part are found.
    """
    places = np.repeat(np.arange(len(pictures)), [len(hashes) for hashes in pictures])
    hashes = np.concatenate([np.zeros(0, np.uint64), *pictures])
    parts = hashes.view(np.uint16).reshape(-1, 4).T
    found = [_similar(part, places, hashes, most_bits) for part in parts]
    for a, b in np.unique(np.concatenate(found), axis=0):
        yield int(a), int(b)


def _similar(keys: np.ndarray, places: np.ndarray, hashes: np.ndarray, most_bits: float) -> np.ndarray:
    """Pairs a < b [n 2] of the places of similar hashes with equal keys."""
    _, group, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(sizes[group] <= _MOST_IN_PART)
    rows = rows[np.argsort(group[rows], kind="stable")]
    group, places, hashes = group[rows], places[rows], hashes[rows]
    pairs = [np.zeros((0, 2), np.int64)]
    for step in range(1, len(rows)):  # each row against that so many rows below, up to the largest group
        first = np.flatnonzero(group[:-step] == group[step:])
        if not len(first):
            break
        near = np.bitwise_count(hashes[first] ^ hashes[first + step]) <= most_bits
        pair = np.sort(np.stack([places[first[near]], places[first[near] + step]], axis=1), axis=1)
        pairs.append(pair[pair[:, 0] != pair[:, 1]])
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
