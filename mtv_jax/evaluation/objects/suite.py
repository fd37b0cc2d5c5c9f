"""The figures of the objects suite: does the right thing stand in its box, at the right times?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtv_jax.evaluation.metrics.base import RowMetric, mean_figure, measured, resampled
from mtv_jax.evaluation.metrics.statistics import f1_score, rank_correlation
from mtv_jax.evaluation.objects.cases import OTHER_BOXES, OTHER_SOUNDS, OWN, SILENCE, Look, true_activity
from mtv_jax.evaluation.objects.readers import overlap
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.evaluation.theatre.readers import match_events
from mtv_jax.theatre.objects.kinds import brightness_of
from mtv_jax.typing import Bool, Float

Sample = Mapping[str, Look]
"""What is seen of one clip under each variant of `cases.variants`."""

FOLLOWED = "other_sounds_followed"
"""Figure of the control with other sounds: whether the things of *these* stand in the boxes."""

AWAKE = float(brightness_of(np.array([0.0, 0.45])).mean())
"""Brightness from which on a thing counts as sounding: half-way between a silent and the softest one."""


def figures(samples: Sequence[Sample]) -> list[Figure]:
    """All figures of these samples, of which there may be several of one clip, one for each noise."""
    return [figure for metric in METRICS for figure in measured(metric, samples)]


@dataclass(frozen=True)
class _PlaceRow:
    """Of a clip: shares of its boxes that hold the kind of their sound, and overlap; the same under its controls."""

    clip: int
    right: float
    overlap: float
    all_right: float
    controls: Mapping[str, float]


def _place_row(sample: Sample) -> _PlaceRow:
    own = sample[OWN]
    controls = {name: _right(look) for name, look in sample.items() if name != OWN}
    if OTHER_SOUNDS in sample:
        controls[FOLLOWED] = _right(sample[OTHER_SOUNDS], by_sound=True)
    return _PlaceRow(own.case.clip.plan.index, _right(own), _overlap(own), float(_right(own) == 1), controls)


def _right(look: Look, *, by_sound: bool = False) -> float:
    """Share of the boxes in which the kind that a source is called after stands, or the kind that makes its sound."""
    case = look.case
    wanted = {name: case.things[name].kind if by_sound else name for name in case.places}
    return float(np.mean([look.kinds[name] == kind for name, kind in wanted.items()]))


def _overlap(look: Look) -> float:
    """Mean overlap of things with their boxes in the clip; 0 for one that is not there."""
    clip = look.case.clip
    return float(np.mean([overlap(look.things[kind].box, clip.boxes[kind]).mean() for kind in clip.places]))


def _place_figures(rows: Sequence[_PlaceRow]) -> list[Figure]:
    found = [
        *mean_figure("objects.accuracy", [(row.clip, row.right) for row in rows]),
        *mean_figure("objects.all_right", [(row.clip, row.all_right) for row in rows]),
        *mean_figure("objects.overlap", [(row.clip, row.overlap) for row in rows]),
    ]
    for name in (OTHER_BOXES, OTHER_SOUNDS, FOLLOWED, SILENCE):
        with_it = [(row.clip, row.controls[name]) for row in rows if name in row.controls]
        found += mean_figure(f"objects.{name}", with_it)
    return found


@dataclass(frozen=True)
class _TimeRow:
    """Of a clip: changes between silence and sound of its things, true and seen, and activity with what is seen.

    `sounding` are frames in which a thing sounds and is seen.
    """

    clip: int
    true: tuple[tuple[int, ...], ...]
    found: tuple[tuple[int, ...], ...]
    other: tuple[tuple[int, ...], ...]
    activity: Float[np.ndarray, "n"]
    brightness: Float[np.ndarray, "n"]
    area: Float[np.ndarray, "n"]
    sounding: Bool[np.ndarray, "n"]


def _time_row(sample: Sample) -> _TimeRow:
    look = sample[OWN]
    activity = true_activity(look)
    seen = [look.things[kind] for kind in activity]
    turned = [changes(thing.there & (thing.brightness > AWAKE)) for thing in seen]
    area = [
        thing.area / np.prod(look.case.places[kind][2:] - look.case.places[kind][:2])
        for kind, thing in zip(activity, seen, strict=True)
    ]
    true = tuple(changes(levels > 0) for levels in activity.values())
    return _TimeRow(
        look.case.clip.plan.index,
        true,
        tuple(turned),
        true[1:] + true[:1],
        np.concatenate(list(activity.values())),
        np.concatenate([thing.brightness for thing in seen]),
        np.concatenate(area),
        np.concatenate(
            [(levels > 0) & thing.there for levels, thing in zip(activity.values(), seen, strict=True)]
        ),
    )


def changes(sounding: Bool[np.ndarray, "f"]) -> tuple[int, ...]:
    """Frames in which something begins or stops to sound."""
    return tuple(int(i) + 1 for i in np.flatnonzero(np.diff(sounding.astype(np.int8))))


def _time_figures(rows: Sequence[_TimeRow]) -> list[Figure]:
    own = [(row.clip, *pair) for row in rows for pair in zip(row.found, row.true, strict=True)]
    other = [(row.clip, *pair) for row in rows for pair in zip(row.found, row.other, strict=True)]
    if not any(true for _, _, true in own):
        return []
    clips = [row.clip for row in rows for _ in row.activity]
    activity, brightness, area, sounding = (
        np.concatenate([getattr(row, name) for row in rows])
        for name in ("activity", "brightness", "area", "sounding")
    )
    among = [clip for clip, kept in zip(clips, sounding, strict=True) if kept]
    return [
        _f1("objects.changes_f1", own, tolerance=1),
        _f1("objects.changes_exact", own, tolerance=0),
        _f1("objects.changes_of_others", other, tolerance=1),
        _correlation("objects.brightness", activity, brightness, clips),
        _correlation("objects.size", activity, area, clips),
        *(
            _correlation(f"objects.{name}_of_sounding", activity[sounding], seen[sounding], among)
            for name, seen in (("brightness", brightness), ("size", area))
            if among
        ),
    ]


def _correlation(
    identifier: str, levels: Float[np.ndarray, "n"], seen: Float[np.ndarray, "n"], clips: Sequence[int]
) -> Figure:
    return resampled(identifier, lambda p: rank_correlation(levels[p], seen[p]), clips)


def _f1(
    identifier: str, rows: Sequence[tuple[int, tuple[int, ...], tuple[int, ...]]], *, tolerance: int
) -> Figure:
    counts = np.array(
        [(match_events(found, true, tolerance), len(found), len(true)) for _, found, true in rows]
    )

    def compute(picks: np.ndarray | slice) -> float:
        return f1_score(*(int(n) for n in counts[picks].sum(axis=0)))

    return resampled(identifier, compute, [clip for clip, *_ in rows])


def _key(sample: Sample) -> tuple[int, int]:
    case = sample[OWN].case
    return case.seed, case.clip.plan.index


METRICS = (
    RowMetric(_key, _place_row, _place_figures),
    RowMetric(_key, _time_row, _time_figures),
)
