"""Figures over clips with their uncertainty."""

from collections.abc import Callable, Sequence

import numpy as np

Series = Sequence[float] | np.ndarray

_RESAMPLES = 2000


def bootstrap(values: Sequence[float]) -> list[float] | None:
    """95 % interval of the mean (percentile bootstrap over values, fixed seed); None for fewer than two."""
    return bootstrap_of(lambda picks: float(np.mean(np.asarray(values)[picks])), len(values))


def bootstrap_of(figure: Callable[[np.ndarray], float], count: int) -> list[float] | None:
    """95 % interval of `figure(indices)` over `count` clips drawn with replacement; None for fewer than two."""
    if count < 2:
        return None
    picks = np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
    return [float(q) for q in np.quantile([figure(row) for row in picks], [0.025, 0.975])]


def correlation(a: Series, b: Series) -> float:
    """Pearson's; 0 where one of them does not vary, since then nothing follows anything."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 1e-9 else 0.0


def rank_correlation(a: Series, b: Series) -> float:
    """Spearman's; ties get the mean of their ranks."""
    return correlation(_ranks(a), _ranks(b))


def lagged_correlation(a: Series, b: Series, lag: int) -> float:
    """Correlation of a[i + lag] with b[i], where both are there."""
    a, b = (a[lag:], b[: len(b) - lag]) if lag >= 0 else (a[:lag], b[-lag:])
    return correlation(a, b)


def f1_score(pairs: int, found: int, true: int) -> float:
    """Harmonic mean of precision and recall; 1 if there is nothing to find and nothing was found."""
    return 2 * pairs / (found + true) if found + true else 1.0


def _ranks(values: Series) -> np.ndarray:
    x = np.asarray(values, np.float64)
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
