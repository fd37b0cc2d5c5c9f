"""What a metric is: samples are folded into a state, states are merged, and figures are computed from a state."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from mtv_jax.evaluation.metrics.statistics import bootstrap_of
from mtv_jax.evaluation.report.claims import claim
from mtv_jax.evaluation.report.schema import Figure

State = TypeVar("State")
Sample = TypeVar("Sample")
Row = TypeVar("Row")
Sample_contra = TypeVar("Sample_contra", contravariant=True)


@runtime_checkable
class Metric(Protocol[State, Sample_contra]):
    """A metric. All methods are pure: no argument is changed.

    The figures of a state depend only on which samples went into it, not on the order in which they were added or
    states were merged, so that a measurement can be spread over processes.
    """

    def empty(self) -> State:
        """The state without any sample."""
        ...

    def update(self, state: State, sample: Sample_contra) -> State:
        """The state with one more sample. Raises ValueError for a sample that it holds already."""
        ...

    def merge(self, a: State, b: State) -> State:
        """The state with the samples of both. Raises ValueError for a sample that is in both."""
        ...

    def compute(self, state: State) -> list[Figure]:
        """The figures; none if there are no samples to compute them from."""
        ...


Rows = Mapping[Any, Row]
"""The state of a `RowMetric`: a row for each sample, by its key."""


@dataclass(frozen=True)
class RowMetric(Generic[Sample, Row]):
    """A metric that keeps a row of numbers of each sample, since intervals draw samples again.

    Attributes:
      key: identifies a sample; rows are computed with in the order of their keys.
      row: what is kept of a sample; None: nothing, it is not one that this metric measures.
      figures: of all rows.
    """

    key: Callable[[Sample], Any]
    row: Callable[[Sample], Row | None]
    figures: Callable[[Sequence[Row]], list[Figure]]

    def empty(self) -> Rows[Row]:
        """See `Metric`."""
        return {}

    def update(self, state: Rows[Row], sample: Sample) -> Rows[Row]:
        """See `Metric`."""
        row = self.row(sample)
        return state if row is None else self.merge(state, {self.key(sample): row})

    def merge(self, a: Rows[Row], b: Rows[Row]) -> Rows[Row]:
        """See `Metric`."""
        if twice := a.keys() & b.keys():
            raise ValueError(f"samples that are there twice: {sorted(twice)[:5]}")
        return {**a, **b}

    def compute(self, state: Rows[Row]) -> list[Figure]:
        """See `Metric`."""
        return self.figures([state[key] for key in sorted(state)])


@dataclass(frozen=True)
class Measured:
    """What was measured of a video.

    Attributes:
      id: of the video.
      group: videos of one group, such as those of one prompt, are drawn together by intervals.
      values: JSON: numbers, and arrays where figures need more than numbers.
      reference: whether the video is one of the reference set.
    """

    id: str
    group: Hashable
    values: Mapping[str, Any]
    reference: bool = False

    @property
    def key(self) -> tuple[bool, str]:
        """Identifies it."""
        return self.reference, self.id


def video_metric(figures: Callable[[Sequence[Measured]], list[Figure]]) -> RowMetric[Measured, Measured]:
    """The metric whose figures are those of what was measured of videos."""
    return RowMetric(lambda row: row.key, lambda row: row, figures)


def video_mean(identifier: str, values: Sequence[tuple[Hashable, float]], *, note: str = "") -> list[Figure]:
    """As `mean_figure`, of (group, value) of videos: `n` counts them, and groups that are fewer are in the note."""
    groups = len({group for group, _ in values})
    if 0 < groups < len(values):
        note = f"{note}; " * bool(note) + f"interval over {groups} prompts"
    return [replace(figure, n=len(values)) for figure in mean_figure(identifier, values, note=note)]


def measured(metric: Metric[Any, Sample], samples: Sequence[Sample]) -> list[Figure]:
    """The figures of a metric over samples."""
    return metric.compute(_state(metric, samples))


def _state(metric: Metric[Any, Sample], samples: Sequence[Sample]) -> Any:
    """The state of samples: that of one half merged with that of the other, since each update copies its state."""
    if len(samples) < 2:
        return metric.update(metric.empty(), samples[0]) if samples else metric.empty()
    half = len(samples) // 2
    return metric.merge(_state(metric, samples[:half]), _state(metric, samples[half:]))


def resampled(
    identifier: str,
    compute: Callable[[Any], float],
    groups: Sequence[Hashable],
    *,
    target: float | None = None,
    note: str = "",
) -> Figure:
    """A figure with its interval: `compute(indices)` over values that are drawn again in groups, such as clips.

    Args:
      identifier: of the claim, which gives the target unless one is passed.
      compute: the value of a selection of the values, given as an index array or a slice.
      groups: the group of each value (`statistics.bootstrap_of`).
    """
    return Figure(
        identifier,
        compute(slice(None)),
        len(set(groups)),
        bootstrap_of(compute, groups),
        claim(identifier).target if target is None else target,
        note=note,
    )


def mean_figure(identifier: str, values: Sequence[tuple[Hashable, float]], *, note: str = "") -> list[Figure]:
    """The mean of (group, value) pairs; no figure without any."""
    if not values:
        return []
    numbers = np.array([value for _, value in values])
    groups = [group for group, _ in values]
    return [resampled(identifier, lambda picks: float(numbers[picks].mean()), groups, note=note)]
