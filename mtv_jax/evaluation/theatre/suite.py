"""The figures of the theatre suite: does a model follow each track of its sound, and its text?

Each is a metric over what readers saw of a clip under each of `cases.variants`, whoever made the frames. Most have a
control: the same figure where it should not be reached.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtv_jax.evaluation.metrics.base import RowMetric, mean_figure, measured, resampled
from mtv_jax.evaluation.metrics.statistics import f1_score, lagged_correlation, rank_correlation
from mtv_jax.evaluation.report.claims import claim, leak
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.evaluation.theatre.cases import Sample, Seen, clip_of, has_track, key_of
from mtv_jax.evaluation.theatre.readers import NO_PROP, Looks, match_events
from mtv_jax.names import TRACKS
from mtv_jax.theatre import ClipPlan, TheatreClip
from mtv_jax.theatre.plan import HAIRS, SHIRTS, SKINS

LAGS = (-1, 0, 1)
"""Frames by which lips may be late, the same for all clips."""
_EXACT_LAGS = range(-4, 5)
"""Frames among which the lag is searched at which lips follow best; of equal ones the nearest to 0 is taken."""
_CHANCES = 3
"""Number of other clips whose events are counted against a clip's own, to know what chance gives."""

Frames = tuple[int, ...]
_ByLag = Mapping[int, float]


def figures(samples: Sequence[Sample]) -> list[Figure]:
    """All figures that these samples allow; which ones depends on the clips, not on what was seen.

    A clip may occur several times, once for each noise. Clips are identified by their index, so all must be of one
    theatre.
    """
    return [figure for metric in METRICS for figure in measured(metric, samples)]


# --- speech


@dataclass(frozen=True)
class _Lips:
    """What the lips of a speaker do. None where there is no such variant."""

    follows: _ByLag
    best_lag: int
    error: float
    other_speech: _ByLag | None
    silent: float | None


@dataclass(frozen=True)
class _LipsRow:
    """A clip with speakers: each of them, and each other head, with how its lips follow the first speaker.

    `bound`: whether the lips of each speaker follow its own track best; None with one speaker.
    """

    clip: int
    speakers: Sequence[_Lips]
    other_heads: Sequence[tuple[_ByLag, float]]
    bound: Sequence[_ByLag] | None


def _lips_row(sample: Sample) -> _LipsRow | None:
    clip, own = clip_of(sample), sample["own"]
    spoken = clip.plan.speakers
    if not spoken:
        return None
    others = [own.openings[actor] for actor in range(len(clip.plan.actors)) if actor not in spoken]
    envelope = clip.truth.openings[spoken[0]]
    return _LipsRow(
        clip.plan.index,
        [_lips(sample, actor) for actor in spoken],
        [(_by_lag(other, envelope), _widest(other)) for other in others],
        [_bound(sample, actor) for actor in spoken] if len(spoken) > 1 else None,
    )


def _lips(sample: Sample, actor: int) -> _Lips:
    lips, envelope = sample["own"].openings[actor], clip_of(sample).truth.openings[actor]
    swapped, silent = sample.get("other_speech"), sample.get("silent_speech")
    return _Lips(
        _by_lag(lips, envelope),
        best_lag(lips, envelope),
        float(np.abs(lips - envelope).mean()),
        None if swapped is None else _by_lag(swapped.openings[actor], envelope),
        None if silent is None else _widest(silent.openings[actor]),
    )


def _bound(sample: Sample, actor: int) -> _ByLag:
    """By lag, 1 if the lips of a speaker follow its own track better than those of all others, else 0."""
    clip, lips = clip_of(sample), sample["own"].openings[actor]
    follows = {other: _by_lag(lips, clip.truth.openings[other]) for other in clip.plan.speakers}
    return {
        lag: float(all(follows[actor][lag] > follows[other][lag] for other in follows if other != actor))
        for lag in LAGS
    }


def _lips_figures(rows: Sequence[_LipsRow]) -> list[Figure]:
    if not rows:
        return []
    pairs = [(row.clip, lips) for row in rows for lips in row.speakers]
    lag = max(LAGS, key=lambda lag: float(np.mean([lips.follows[lag] for _, lips in pairs])))
    heads = [(row.clip, head) for row in rows for head in row.other_heads]
    bound = [(row.clip, right[lag]) for row in rows for right in row.bound or ()]
    return [
        *mean_figure(
            "lips.correlation",
            [(clip, lips.follows[lag]) for clip, lips in pairs],
            note=f"lips {lag} frames late",
        ),
        *mean_figure("lips.exact_lag", [(clip, float(lips.best_lag == 0)) for clip, lips in pairs]),
        *mean_figure(
            "lips.other_speech", [(clip, lips.other_speech[lag]) for clip, lips in pairs if lips.other_speech]
        ),
        *mean_figure(
            "lips.without_speech", [(clip, lips.silent) for clip, lips in pairs if lips.silent is not None]
        ),
        *mean_figure("lips.opening_error", [(clip, lips.error) for clip, lips in pairs]),
        *mean_figure("other_head.correlation", [(clip, by_lag[lag]) for clip, (by_lag, _) in heads]),
        *mean_figure("other_head.opening", [(clip, widest) for clip, (_, widest) in heads]),
        *mean_figure("lips.bound", bound),
    ]


def _by_lag(openings: np.ndarray, envelope: np.ndarray) -> _ByLag:
    return {lag: lagged_correlation(openings, envelope, lag) for lag in LAGS}


def best_lag(openings: np.ndarray, envelope: np.ndarray) -> int:
    """The lag, in frames, of openings [F] behind an envelope [F] at which their correlation is highest."""
    nearest_first = sorted(_EXACT_LAGS, key=abs)
    return max(nearest_first, key=lambda lag: lagged_correlation(openings, envelope, lag))


def _widest(opening: np.ndarray) -> float:
    """The widest opening of a mouth [F] in any frame: a mean would hide a mouth that twitches."""
    return float(opening.max())


# --- effects


@dataclass(frozen=True)
class _EventsRow:
    """A clip with a prop: frames of true events, of those seen, and of those seen with another clip's effects.

    A clip whose effects are silent has no true events.
    """

    clip: int
    silent: bool
    true: Frames
    found: Frames
    other_effects: Frames | None


def _events_row(sample: Sample) -> _EventsRow | None:
    clip, swapped = clip_of(sample), sample.get("other_effects")
    true, silent = clip.truth.event_frames, not has_track(clip, "effects")
    if not true and (clip.plan.prop is None or not silent):
        return None
    other = None if swapped is None else swapped.events
    return _EventsRow(clip.plan.index, silent, true, sample["own"].events, other)


def _events_figures(rows: Sequence[_EventsRow]) -> list[Figure]:
    struck = [row for row in rows if row.true]
    times = {row.clip: row.true for row in struck}
    if len(times) < 2:
        return []
    own = [(row.clip, row.found, row.true) for row in struck]
    swapped = [(row.clip, row.other_effects, row.true) for row in struck if row.other_effects is not None]
    # What the same events would score on other clips' times.
    rolled = [(row.clip, row.found, other) for row in struck for other in _others(times, row.clip)]
    chance = _f1("events.chance", rolled)
    found = [_f1("events.f1", own), _f1("events.f1_exact", own, tolerance=0), chance]
    if swapped:
        low, high = chance.interval or [chance.value, chance.value]
        note = f"chance is {low:.2f} to {high:.2f}"
        found.append(_f1("events.other_effects", swapped, target=high, note=note))
    strikes = [(row.clip, float(len(row.found))) for row in rows if row.silent]
    return found + mean_figure("events.without_effects", strikes)


def _others(times: Mapping[int, Frames], index: int) -> list[Frames]:
    """Event times of the clips that follow that of an index."""
    order = list(times)
    start = order.index(index)
    count = min(_CHANCES, len(order) - 1)
    return [times[order[(start + step) % len(order)]] for step in range(1, count + 1)]


def _f1(
    identifier: str,
    rows: Sequence[tuple[int, Frames, Frames]],
    *,
    target: float | None = None,
    note: str = "",
    tolerance: int = 1,
) -> Figure:
    """F1 over all events of (clip, found, true) rows; two events at most `tolerance` frames apart are a pair."""
    counts = np.array(
        [(match_events(found, true, tolerance), len(found), len(true)) for _, found, true in rows]
    )

    def compute(picks: Any) -> float:
        return f1_score(*(int(n) for n in counts[picks].sum(axis=0)))

    return resampled(identifier, compute, [clip for clip, *_ in rows], target=target, note=note)


# --- music


@dataclass(frozen=True)
class _Heard:
    """What is seen of a mood, that of the clip's own music, and that of the music that was heard."""

    seen: float
    own: float
    heard: float


@dataclass(frozen=True)
class _MoodRow:
    """A clip with music, by part of the mood: under its own music, and under another clip's."""

    clip: int
    own: Mapping[str, _Heard]
    other_music: Mapping[str, _Heard] | None


_PARTS = {"hue": "valence", "brightness": "energy"}
"""How a mood is seen -> what it is."""


def _mood_row(sample: Sample) -> _MoodRow | None:
    clip, swapped = clip_of(sample), sample.get("other_music")
    if clip.plan.mood is None:
        return None
    return _MoodRow(
        clip.plan.index, _heard(clip, sample["own"]), None if swapped is None else _heard(clip, swapped)
    )


def _heard(clip: TheatreClip, seen: Seen) -> dict[str, _Heard]:
    music = seen.case.music
    assert clip.plan.mood is not None
    assert music is not None
    moods = clip.plan.mood, music.plan.mood
    return {
        part: _Heard(value, *(getattr(mood, field) for mood in moods))
        for value, (part, field) in zip(seen.mood, _PARTS.items(), strict=True)
    }


def _mood_figures(rows: Sequence[_MoodRow]) -> list[Figure]:
    found: list[Figure] = []
    for part in _PARTS:
        own = [(row.clip, row.own[part]) for row in rows]
        swapped = [(row.clip, row.other_music[part]) for row in rows if row.other_music is not None]
        found += _rank(f"mood.{part}", own)
        found += _rank(f"mood.{part}_other_music", swapped)
        # A perfect generator would still show what the moods of two clips have in common by chance.
        found += _rank(f"mood.{part}_other_music_beyond_chance", swapped, beyond_chance=True)
    return found


def _rank(
    identifier: str, rows: Sequence[tuple[int, _Heard]], *, beyond_chance: bool = False
) -> list[Figure]:
    """Rank correlation of what is seen with a clip's own music; no figure for fewer than three clips.

    Beyond chance: minus that of the music that was heard with the clip's own.
    """
    groups = [clip for clip, _ in rows]
    if len(set(groups)) < 3:
        return []
    table = np.array([(row.seen, row.own, row.heard) for _, row in rows])

    def compute(picks: Any) -> float:
        seen, own, heard = table[picks].T
        return rank_correlation(seen, own) - (rank_correlation(heard, own) if beyond_chance else 0.0)

    return [resampled(identifier, compute, groups)]


# --- leaks from one track into what belongs to another


@dataclass(frozen=True)
class _LeaksRow:
    """Of a clip, by (track, changed): how far what belongs to `track` moves when `changed` does, and when it does."""

    clip: int
    moved: Mapping[tuple[str, str], tuple[float, float]]


def _leaks_row(sample: Sample) -> _LeaksRow:
    clip = clip_of(sample)
    moved: dict[tuple[str, str], tuple[float, float]] = {}
    for track, changed in _LEAKS:
        if f"other_{changed}" in sample and f"other_{track}" in sample:
            leaked, own = (
                _DISTANCES[track](clip, sample["own"], sample[f"other_{name}"]) for name in (changed, track)
            )
            if leaked is not None and own is not None:
                moved[track, changed] = (leaked, own)
    return _LeaksRow(clip.plan.index, moved)


def _leaks_figures(rows: Sequence[_LeaksRow]) -> list[Figure]:
    found: list[Figure] = []
    for pair in _LEAKS:
        found += _ratio(leak(*pair), [(row.clip, *row.moved[pair]) for row in rows if pair in row.moved])
    return found


def _opening_distance(clip: TheatreClip, a: Seen, b: Seen) -> float | None:
    spoken = list(clip.plan.speakers)
    return float(np.abs(a.openings[spoken] - b.openings[spoken]).mean()) if spoken else None


def _event_distance(clip: TheatreClip, a: Seen, b: Seen) -> float | None:
    if not clip.truth.event_frames:
        return None
    return float(len(a.events) + len(b.events) - 2 * match_events(a.events, b.events))


def _mood_distance(clip: TheatreClip, a: Seen, b: Seen) -> float | None:
    if clip.plan.mood is None:
        return None
    return float(np.abs(np.subtract(a.mood, b.mood)).sum())


_DISTANCES: dict[str, Callable[[TheatreClip, Seen, Seen], float | None]] = {
    "speech": _opening_distance,
    "effects": _event_distance,
    "music": _mood_distance,
}
"""How far apart two videos of a clip are in what belongs to a track."""
_LEAKS = [(track, changed) for track in _DISTANCES for changed in TRACKS if changed != track]


def _ratio(identifier: str, rows: Sequence[tuple[int, float, float]]) -> list[Figure]:
    """Of (clip, part, whole) rows: the sum of the parts over that of the wholes, which has no value if that is 0."""
    if not rows:
        return []
    groups = [clip for clip, *_ in rows]
    table, count = np.array([numbers for _, *numbers in rows]), len(set(groups))
    if not table[:, 1].any():
        target = claim(identifier).target
        return [Figure(identifier, None, count, target=target, note="its own effect is zero")]

    def compute(picks: Any) -> float:
        part, whole = table[picks].sum(axis=0)
        return float(part / max(whole, 1e-9))

    return [resampled(identifier, compute, groups)]


# --- text


@dataclass(frozen=True)
class _LooksRow:
    """Of a clip, the share of counts and colours that are right, with its own text and with another clip's.

    `in_common` is the share that the two texts have in common.
    """

    clip: int
    own: float
    other_text: float | None
    in_common: float


def _looks_row(sample: Sample) -> _LooksRow:
    clip, other = clip_of(sample), sample.get("other_text")
    return _LooksRow(
        clip.plan.index,
        looks_right(clip.plan, sample["own"].looks),
        None if other is None else looks_right(clip.plan, other.looks),
        0.0 if other is None else _in_common(clip.plan, other.case.text.plan),
    )


def _looks_figures(rows: Sequence[_LooksRow]) -> list[Figure]:
    other = [(row.clip, row.other_text, row.in_common) for row in rows if row.other_text is not None]
    return [
        *mean_figure("looks.correct", [(row.clip, row.own) for row in rows]),
        *mean_figure("looks.other_text", [(clip, right) for clip, right, _ in other]),
        *mean_figure(
            "looks.other_text_beyond_chance", [(clip, right - common) for clip, right, common in other]
        ),
    ]


def looks_right(plan: ClipPlan, looks: Looks) -> float:
    """Share of the counts and colours of a plan that a picture has."""
    found = [looks.heads == len(plan.actors), looks.prop == _prop(plan)]
    for actor, *colours in zip(plan.actors, looks.skins, looks.hairs, looks.shirts, strict=True):
        found += [
            a == b for a, b in zip(colours, (actor.look.skin, actor.look.hair, actor.look.shirt), strict=True)
        ]
    return float(np.mean(found))


def _in_common(plan: ClipPlan, shown: ClipPlan) -> float:
    """Share of `plan`'s counts and colours that a picture of `shown` has too, by their words.

    Where heads are not as many, they do not stand where colours are read, which are then any of their kind.
    """
    alike = len(plan.actors) == len(shown.actors)
    found: list[float] = [alike, _prop(plan) == _prop(shown)]
    for number, actor in enumerate(plan.actors):
        for field, kinds in (("skin", SKINS), ("hair", HAIRS), ("shirt", SHIRTS)):
            one = getattr(actor.look, field)
            found.append(one == getattr(shown.actors[number].look, field) if alike else 1 / len(kinds))
    return float(np.mean(found))


def _prop(plan: ClipPlan) -> str:
    return plan.prop.name if plan.prop else NO_PROP


METRICS: tuple[RowMetric[Sample, Any], ...] = (
    RowMetric(key_of, _lips_row, _lips_figures),
    RowMetric(key_of, _events_row, _events_figures),
    RowMetric(key_of, _mood_row, _mood_figures),
    RowMetric(key_of, _leaks_row, _leaks_figures),
    RowMetric(key_of, _looks_row, _looks_figures),
)
"""The suite, in the order of its table."""
