"""FVD: how far the distribution of videos is from that of reference videos ("Towards accurate generative models of
video", Unterthiner et al. 2018).

It is the Frechet distance of two normal distributions that are fitted to I3D's logits:

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))

With few videos it is biased upwards: two samples of one distribution (noise) give 44.5 at 16 videos each, 22.6 at 50
and 10.1 at 128. It can be compared at equal numbers of videos and of frames alone, so the results have both, and the
distance of parts of the videos.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from mtv_jax.evaluation.metrics.base import Measured, video_metric
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.io.errors import UserError
from mtv_jax.models.i3d.model import LEAST_FRAMES
from mtv_jax.models.i3d.preprocessing import i3d_input

DDOF = 1
"""Covariances are divided by N - 1, as in the reference implementation."""
PARTS = {"a_half": 2, "a_quarter": 4, "an_eighth": 8}
"""Of the subsample curve: end of the claim's id -> divisor of the numbers of videos."""
LEAST_VIDEOS = 2
_DRAWS = 50
_STANDARD_ERRORS = 1.96


def features(
    clips: UInt8[np.ndarray, "b f h w 3"], logits: Callable[[np.ndarray], Any]
) -> Float[np.ndarray, "b k"]:
    """I3D's logits of RGB clips of the same number of frames.

    Args:
      logits: the network with its parameters, compiled: float32 [b, f, 224, 224, 3] in -1..1 to [b, k].

    Raises UserError for fewer than nine frames, and for logits that are not finite.
    """
    if clips.shape[1] < LEAST_FRAMES:
        raise UserError(f"a video of {clips.shape[1]} frames: FVD needs {LEAST_FRAMES}")
    found = np.asarray(logits(np.stack([i3d_input(clip) for clip in clips])))
    if not np.isfinite(found).all():
        raise UserError("I3D gives features that are not finite")
    return found


def frechet_distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"], ddof: int = DDOF) -> float:
    """The distance of the normal distributions with the means and covariances of two sets of vectors.

    No root of a matrix is computed: with X the centred vectors over (n - ddof)^(1/2), tr (S1 S2)^(1/2) is the sum of
    the singular values of X1 X2^T. So it is exact to rounding for fewer vectors than dimensions too, where covariances
    are singular. Raises ValueError for fewer than two vectors.
    """
    if min(len(a), len(b)) < LEAST_VIDEOS:
        raise ValueError(f"{len(a)} and {len(b)} vectors: at least {LEAST_VIDEOS} of each are needed")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    x, y = _centred(a, ddof), _centred(b, ddof)
    means = np.square(a.mean(0) - b.mean(0)).sum()
    return float(means + np.square(x).sum() + np.square(y).sum() - 2 * np.linalg.norm(x @ y.T, "nuc"))


def _centred(x: np.ndarray, ddof: int) -> np.ndarray:
    """A factor X of the covariance X^T X, with no more rows than columns."""
    x = (x - x.mean(0)) / np.sqrt(len(x) - ddof)
    return np.linalg.qr(x, mode="r") if x.shape[0] > x.shape[1] else x


def subsampled(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"], divisor: int
) -> Float[np.ndarray, "k"]:
    """Distances of random parts of two sets, each `len // divisor`, drawn without replacement by a fixed seed.

    Empty if a part would have fewer than two vectors.
    """
    sizes = [len(x) // divisor for x in (a, b)]
    if min(sizes) < LEAST_VIDEOS:
        return np.zeros(0)
    random = np.random.default_rng(0)

    def drawn() -> float:
        part, other = (x[random.permutation(len(x))[:size]] for x, size in zip((a, b), sizes, strict=True))
        return frechet_distance(part, other)

    return np.array([drawn() for _ in range(_DRAWS)])


def interval(value: float, halves: Float[np.ndarray, "k"]) -> list[float] | None:
    """95 % interval of the distance at its number of videos: 1.96 standard errors to both sides.

    Halves that are drawn without replacement vary as the whole does from sample to sample (the jackknife that leaves
    half of the values out). Values that are drawn with replacement, as a bootstrap's, would occur twice, which raises
    this distance. The bias by the number of videos is not part of the interval. None if there are no halves.
    """
    if not len(halves):
        return None
    width = _STANDARD_ERRORS * float(halves.std(ddof=1))
    return [value - width, value + width]


def _figures(videos: Sequence[Measured]) -> list[Figure]:
    made, real = ([_logits(video) for video in videos if video.reference is side] for side in (False, True))
    if min(len(made), len(real)) < LEAST_VIDEOS:
        return []
    a, b = np.stack(made), np.stack(real)
    lengths = sorted({video.values["frames"] for video in videos})
    note = (
        f"{len(b)} reference videos; {' or '.join(map(str, lengths))} frames; covariances over N - {DDOF}; compare at "
        "equal numbers of videos and frames only"
    )
    curve = {divisor: subsampled(a, b, divisor) for divisor in PARTS.values()}
    value = frechet_distance(a, b)
    whole = Figure("fvd.i3d_k400", value, len(a), interval(value, curve[2]), note=note)
    parts = [
        Figure(f"fvd.i3d_k400_{part}", float(found.mean()), len(a) // divisor, _spread(found))
        for part, divisor in PARTS.items()
        if len(found := curve[divisor])
    ]
    return [whole, *parts, Figure("fvd.i3d_k400_frames", float(lengths[0]), len(videos))]


def _logits(video: Measured) -> np.ndarray:
    return np.asarray(video.values["logits"], np.float64)


def _spread(values: np.ndarray) -> list[float]:
    return [float(quantile) for quantile in np.quantile(values, [0.025, 0.975])]


FVD = video_metric(_figures)
"""The distance of two sets of videos, with its interval, and of parts of them.

Of a video `logits` are kept (`features`), and `frames`, the number of frames that they were computed from.
"""
