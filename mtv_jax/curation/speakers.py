"""From what is heard in windows of a sound to who speaks when: clustering of voices. Pure.

Positions and lengths are in frames of the sound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtv_jax.audio.turns import Turn
from mtv_jax.curation.roles import Evidence, scores
from mtv_jax.typing import Bool, Float, Int

_CLUSTERS = 10
"""With which merging by `likeness` begins; more than a clip has speakers."""
_PRIOR = 20
"""Pairs of windows as which the mean likeness within all clusters counts in that of each: small ones have few pairs."""
_USUAL = 1000
"""Pairs as which `Clustering.within` counts in that mean. Clusters of a short sound have few pairs that are apart,
those that the clustering found most alike, and by their mean one voice would be several."""


@dataclass(frozen=True)
class Windows:
    """What is heard in windows.

    Attributes:
      embeddings: of length 1.
      starts: of the windows, in order.
      length: of each of them.
    """

    embeddings: Float[np.ndarray, "n d"]
    starts: Int[np.ndarray, "n"]
    length: int

    def __getitem__(self, chosen: Bool[np.ndarray, "n"]) -> "Windows":
        return Windows(self.embeddings[chosen], self.starts[chosen], self.length)


@dataclass(frozen=True)
class Clustering:
    """How windows become speakers.

    Attributes:
      same: likeness (`likeness`) from which two clusters are one speaker.
      within: usual cosine of windows of one speaker that do not overlap: .72 to .81 with Resemblyzer's encoder.
      fewest: windows of a speaker; clusters of fewer join the one that they are most like.
      steady: share of the windows that are clustered: those in which the voice changes least.
      switch: cost of a change of speakers, in cosines summed over steps.
    """

    same: float = 0.9
    within: float = 0.77
    fewest: int = 5
    steady: float = 0.6
    switch: float = 0.3


def find_speakers(windows: Windows, how: Clustering) -> Float[np.ndarray, "k d"]:
    """The voice of each speaker (mean embedding, of length 1), of at least one window."""
    steady = steadiness(windows)
    chosen = windows[steady >= np.quantile(steady, 1 - how.steady)]
    labels = cluster(chosen, how)
    means = np.stack([chosen.embeddings[labels == k].mean(0) for k in range(labels.max() + 1)])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def steadiness(windows: Windows) -> Float[np.ndarray, "n"]:
    """How much the windows half a length before and after each one are alike (cosine): little where speakers change.

    At the ends of the sound, and beside pauses, the nearest window stands for one that is not there.
    """
    before, after = (
        np.abs(windows.starts[:, None] + shift - windows.starts[None]).argmin(1)
        for shift in (-windows.length // 2, windows.length // 2)
    )
    return np.sum(windows.embeddings[before] * windows.embeddings[after], axis=1)


def cluster(windows: Windows, how: Clustering) -> Int[np.ndarray, "n"]:
    """The speaker of each window, counted from 0.

    Average linkage of cosines makes a few clusters; then the two that are most alike are merged, until none are.
    """
    from scipy.cluster.hierarchy import fcluster, linkage  # here, since importing it takes half a second

    embeddings, starts = windows.embeddings, windows.starts
    if len(starts) < 2:
        return np.zeros(len(starts), np.int64)
    found = fcluster(linkage(embeddings, "average", "cosine"), _CLUSTERS, "maxclust")
    cosines = embeddings @ embeddings.T
    apart = np.abs(starts[:, None] - starts[None]) >= windows.length
    while len(names := np.unique(found)) > 1:
        members = (found == names[:, None]).astype(np.float32)
        alike = likeness(cosines, apart, members, how.within)
        small = members.sum(1) < how.fewest
        urgent = np.where(small[:, None] | small[None], alike + 2, alike)
        one, other = np.unravel_index(int(urgent.argmax()), urgent.shape)
        if urgent[one, other] < how.same:
            break
        found = np.where(found == names[other], names[one], found)
    return np.searchsorted(np.unique(found), found)


def likeness(
    cosines: Float[np.ndarray, "n n"],
    apart: Bool[np.ndarray, "n n"],
    members: Float[np.ndarray, "k n"],
    usual: float,
) -> Float[np.ndarray, "k k"]:
    """How alike clusters are: the mean cosine of windows of both, divided by that within each (geometric mean).

    Only pairs of windows that are `apart` count, since those that overlap are alike in any case. So the noise of an
    embedding cancels: 1 for two halves of a speaker, in whatever recording. `usual` is the mean cosine within a speaker
    (`Clustering.within`), from which only many pairs differ. -inf on the diagonal.
    """
    pairs = members @ apart @ members.T
    sums = members @ (apart * cosines) @ members.T
    sizes = np.maximum(np.outer(members.sum(1), members.sum(1)), 1)
    between = np.where(pairs, sums / np.maximum(pairs, 1), members @ cosines @ members.T / sizes)
    own, inside = pairs.diagonal() / 2, sums.diagonal() / 2
    mean = (inside.sum() + _USUAL * usual) / (own.sum() + _USUAL)
    within = (inside + _PRIOR * mean) / (own + _PRIOR)
    alike = between / np.sqrt(np.outer(within, within))
    np.fill_diagonal(alike, -np.inf)
    return alike


def assign(
    windows: Windows, voices: Float[np.ndarray, "k d"], times: Float[np.ndarray, "t"], how: Clustering
) -> Int[np.ndarray, "t"]:
    """The speaker at each time, out of those with these voices: the best path (Viterbi).

    The windows around a time count by how near its middle is to it.
    """
    middles = windows.starts + windows.length / 2
    nearness = np.maximum(0, 1 - np.abs(middles[:, None] - times[None]) / (windows.length / 2))
    total = np.maximum(nearness.sum(0), 1e-6)
    score = (voices @ windows.embeddings.T @ nearness) / total
    best, came_from = score[:, 0], []
    for now in score.T[1:]:
        leader = int(best.argmax())
        stays = best >= best[leader] - how.switch
        came_from.append(np.where(stays, np.arange(len(best)), leader))
        best = np.maximum(best, best[leader] - how.switch) + now
    path = [int(best.argmax())]
    for origin in reversed(came_from):
        path.append(int(origin[path[-1]]))
    return np.array(path[::-1])


def runs(active: Bool[np.ndarray, "t"]) -> list[tuple[int, int]]:
    """Beginnings and ends of the stretches that are true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def turn_scores(turns: Sequence[Turn]) -> Evidence:
    """The evidence of turns (`roles.Diarizer`); overlaps count once in the seconds of speech."""
    speech, until = 0.0, 0.0
    for turn in sorted(turns):
        speech += max(0.0, turn.end - max(turn.start, until))
        until = max(until, turn.end)
    rows = [[round(turn.start, 3), round(turn.end, 3), turn.speaker] for turn in sorted(turns)]
    return scores(turns=rows, speakers=len({turn.speaker for turn in turns}), speech=round(speech, 3))
