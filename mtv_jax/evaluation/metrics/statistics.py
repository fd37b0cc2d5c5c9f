"""Statistics over clips, with bootstrap intervals."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np

Series = Sequence[float] | np.ndarray

_RESAMPLES = 2000
_BLOCK = 50
"""Resamples that are drawn at once; all of them would take 16 kB for each group."""


def bootstrap_of(figure: Callable[[np.ndarray], float], groups: Sequence[Hashable]) -> list[float] | None:
    """95 % interval of `figure(indices)` over values whose groups are drawn with replacement.

    `groups` has the group of each value: values that were measured on one clip are not independent, so they are drawn
    together. None for fewer than two groups.
    """
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    if len(members) < 2:
        return None
    indices = [np.array(found) for found in members.values()]
    random, found = np.random.default_rng(0), []
    for _ in range(0, _RESAMPLES, _BLOCK):
        draws = random.integers(len(indices), size=(_BLOCK, len(indices)))
        found += [figure(np.concatenate([indices[group] for group in draw])) for draw in draws]
    return [float(q) for q in np.quantile(found, [0.025, 0.975])]


def correlation(a: Series, b: Series) -> float:
    """Pearson's correlation; 0 if one of the series does not vary."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 1e-9 else 0.0


def rank_correlation(a: Series, b: Series) -> float:
    """Spearman's correlation; ties get the mean of their ranks."""
    return correlation(_ranks(a), _ranks(b))


def lagged_correlation(a: Series, b: Series, lag: int) -> float:
    """Correlation of a[i + lag] with b[i], where both exist."""
    a, b = (a[lag:], b[: len(b) - lag]) if lag >= 0 else (a[:lag], b[-lag:])
    return correlation(a, b)


def f1_score(pairs: int, found: int, true: int) -> float:
    """Harmonic mean of precision and recall; 1 if there was nothing to find and nothing was found."""
    return 2 * pairs / (found + true) if found + true else 1.0


def _ranks(values: Series) -> np.ndarray:
    x = np.asarray(values, np.float64)
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
