"""Sync-C and Sync-D: how well lips and speech agree by SyncNet, and by how many frames one of them is late.

The embeddings of pictures and of sound are compared at shifts of -15 to 15 frames (`calc_pdist` of
joonson/syncnet_python). D is the least mean distance, C is how far it lies below the median over shifts. As published,
the shifted sound is padded with embeddings of zeros, which raises C even where nothing is in time: .47 on noise, .06
over the pairs that exist. Both are given.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from mtv_jax.evaluation.metrics.base import Measured, video_mean, video_metric
from mtv_jax.evaluation.report.schema import Figure

VARIANT = "syncnet_v2"
"""The network that the results are named after."""
SHIFT = 15
"""Largest shift, frames."""
SHORT = 100
"""Frames of a face that the published pipeline needs; shorter ones are scored and marked."""
LEAST_WINDOWS = 2 * SHIFT + 1
"""Positions that are needed, so that half of them or more are compared at every shift."""
_EPSILON = 1e-6

Reason = Literal["no face", "no sound", "too short"]


@dataclass(frozen=True)
class Agreement:
    """How pictures and sound agree.

    Attributes:
      distance: the least mean distance (D; lower is better).
      confidence: the median over shifts less that (C; higher is better).
      offset: frames by which the pictures are late, where the distance is least (below 0: the sound is late).
    """

    distance: float
    confidence: float
    offset: int


@dataclass(frozen=True)
class SyncScore:
    """The score of a video.

    Attributes:
      padded: as published, with zeros beyond the ends of the sound.
      valid: over the pairs that exist at each shift.
      frames: of the face that was scored, at 25 a second.
      faces: how many were scored, of which the one with the highest `padded.confidence` is taken.
    """

    padded: Agreement
    valid: Agreement
    frames: int
    faces: int

    @property
    def short(self) -> bool:
        """Whether the published pipeline would not have scored it."""
        return self.frames < SHORT


@dataclass(frozen=True)
class SyncFailure:
    """A video that cannot be scored, and why."""

    reason: Reason


def shifted_distances(
    video: Float[np.ndarray, "n d"], audio: Float[np.ndarray, "n d"], shift: int = SHIFT
) -> Float[np.ndarray, "n k"]:
    """Distances of each embedding of pictures i to those of sound i - shift ... i + shift, which are 0 beyond the ends.

    As torch's `pairwise_distance`, 1e-6 is added to each difference.
    """
    padded = np.pad(audio, ((shift, shift), (0, 0)))
    near = [padded[start : start + len(video)] for start in range(2 * shift + 1)]
    return np.stack([np.linalg.norm(video - sound + _EPSILON, axis=1) for sound in near], axis=1)


def existing_pairs(count: int, shift: int = SHIFT) -> np.ndarray:
    """Where `shifted_distances` compares with sound that exists: bool [count, 2 shift + 1]."""
    partner = np.arange(count)[:, None] + np.arange(-shift, shift + 1)
    return (partner >= 0) & (partner < count)


def agreement(means: Float[np.ndarray, "k"]) -> Agreement:
    """The agreement of mean distances at shifts -15 to 15."""
    least = int(means.argmin())
    return Agreement(float(means[least]), float(np.median(means) - means[least]), len(means) // 2 - least)


def agreements(
    video: Float[np.ndarray, "n d"], audio: Float[np.ndarray, "n d"]
) -> tuple[Agreement, Agreement]:
    """As published (zeros beyond the ends), and over the pairs that exist. Raises ValueError below `LEAST_WINDOWS`."""
    if len(video) < LEAST_WINDOWS or len(video) != len(audio):
        raise ValueError(f"{len(video)} pictures and {len(audio)} sounds: needed are {LEAST_WINDOWS} of each")
    distances = shifted_distances(video, audio)
    exists = existing_pairs(len(video))
    valid = np.where(exists, distances, 0).sum(0) / exists.sum(0)
    return agreement(distances.mean(0)), agreement(valid)


def values_of(found: SyncScore | SyncFailure) -> dict[str, float | int | str]:
    """What is kept of a video."""
    if isinstance(found, SyncFailure):
        return {"failure": found.reason}
    return {
        "c": found.padded.confidence,
        "d": found.padded.distance,
        "c_valid": found.valid.confidence,
        "d_valid": found.valid.distance,
        "offset": found.valid.offset,
        "frames": found.frames,
        "faces": found.faces,
        "short": int(found.short),
    }


_MEANS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "sync.syncnet_c": lambda values: values["c"],
    "sync.syncnet_d": lambda values: values["d"],
    "sync.syncnet_c_valid": lambda values: values["c_valid"],
    "sync.syncnet_d_valid": lambda values: values["d_valid"],
    "sync.syncnet_offset": lambda values: float(abs(values["offset"])),
}
_FAILURES: dict[str, Reason] = {
    "sync.syncnet_no_face": "no face",
    "sync.syncnet_no_sound": "no sound",
    "sync.syncnet_too_short": "too short",
}


def _figures(rows: Sequence[Measured]) -> list[Figure]:
    if not rows:
        return []
    scored = [row for row in rows if "failure" not in row.values]
    reasons = [row.values["failure"] for row in rows if "failure" in row.values]
    means = [
        figure
        for name, of in _MEANS.items()
        for figure in video_mean(name, [(row.group, of(row.values)) for row in scored], note=VARIANT)
    ]
    counts = {"sync.syncnet_short": sum(row.values["short"] for row in scored)}
    counts |= {identifier: reasons.count(reason) for identifier, reason in _FAILURES.items()}
    return means + [Figure(identifier, float(count), len(rows)) for identifier, count in counts.items()]


SYNC = video_metric(_figures)
"""Mean C and D of the videos that can be scored, and how many cannot and why."""
