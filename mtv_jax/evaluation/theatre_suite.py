"""Does a model follow each track of its sound, and its text? Figures over theatre clips, each beside its control.

They are counted from what readers saw in the frames of `theatre_cases.variants`, whoever made the frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtv_jax.evaluation.statistics import (
    bootstrap_of,
    f1_score,
    lagged_correlation,
    rank_correlation,
)
from mtv_jax.evaluation.theatre_cases import Sample, Seen, has_track
from mtv_jax.evaluation.theatre_readers import NO_PROP, Looks, match_events
from mtv_jax.theatre import ClipPlan, TheatreClip
from mtv_jax.theatre.plan import HAIRS, SHIRTS, SKINS
from mtv_jax.typing import TRACKS

LAGS = (-1, 0, 1)
"""Frames by which lips may be late, the same for all clips."""
_EXACT_LAGS = range(-4, 5)
"""Frames among which the lag is looked for at which lips follow best; those near 0 come first where two are equal."""
EXACT_LAG = "share of clips whose lips follow best at lag 0"
EXACT_FRAME = "F1 in the very frame"
_CHANCES = 3
"""Other clips whose events are counted against a clip's own, to know what chance gives."""


@dataclass(frozen=True)
class Figure:
    """A line of the table.

    Attributes:
      claim, name: what it is about; the same for whatever was measured.
      value: None where it cannot be told: then its target is not met.
      interval: 95 %, clips drawn with replacement, all samples of a clip together.
      clips: that it was measured on.
      target: without one it is told only.
      at_most: which side of the target is right.
      note: what belongs to this measurement alone.
    """

    claim: str
    name: str
    value: float | None
    interval: list[float] | None
    clips: int
    target: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is."""
        if self.target is None:
            return None
        if self.value is None:
            return False
        return abs(self.value) <= self.target if self.at_most else self.value >= self.target

    def to_json(self) -> dict[str, Any]:
        """All fields and whether the target is met."""
        return {**vars(self), "met": self.met}


def figures(clips: Sequence[TheatreClip], samples: Sequence[Sample]) -> list[Figure]:
    """The table: all figures that these clips allow, the same rows whatever was seen.

    A clip may be there many times, once for each noise; clips are told apart by their index, so they must be of
    one theatre.
    """
    pairs = list(zip(clips, samples, strict=True))
    makers: list[Callable[[Any], list[Figure]]] = [_lips, _events, _mood, _leaks, _looks]
    return [figure for maker in makers for figure in maker(pairs)]


_Pairs = Sequence[tuple[TheatreClip, Sample]]
_Values = list[tuple[TheatreClip, float]]
"""A value for each sample of each clip."""


def _lips(pairs: _Pairs) -> list[Figure]:
    claim = "speech moves the speaker's lips"
    spoken = _where(pairs, lambda c: c.plan.speaker is not None)
    if not spoken:
        return []
    by_lag = {lag: [(clip, _follows(clip, seen["own"], lag)) for clip, seen in spoken] for lag in LAGS}
    lag = max(LAGS, key=lambda lag: _average(by_lag[lag]))
    rows = _mean(claim, "correlation with loudness", by_lag[lag], 0.85, note=f"lips {lag} frames late")
    exact = [(clip, float(_best_lag(clip, seen["own"]) == 0)) for clip, seen in spoken]
    rows += _mean(claim, EXACT_LAG, exact, 0.95)
    swapped = [(c, _follows(c, s["other_speech"], lag)) for c, s in spoken if "other_speech" in s]
    rows += _mean(claim, "control: another clip's speech", swapped, 0.10, at_most=True)
    silent = [(c, _widest(_speaker(c, s["silent_speech"]))) for c, s in spoken if "silent_speech" in s]
    rows += _mean(claim, "control: widest opening without speech", silent, 0.10, at_most=True)
    apart = [(c, float(np.abs(_speaker(c, s["own"]) - c.truth.envelope).mean())) for c, s in spoken]
    rows += _mean(claim, "mean error of the opening, of 1", apart, None)
    return rows + _other_head([(c, s) for c, s in spoken if len(c.plan.actors) == 2], lag)


def _other_head(pairs: _Pairs, lag: int) -> list[Figure]:
    claim = "only the speaker's"
    others = [(c, s["own"].openings[1 - (c.plan.speaker or 0)]) for c, s in pairs]
    follows = [(c, lagged_correlation(list(x), list(c.truth.envelope), lag)) for c, x in others]
    rows = _mean(claim, "correlation of the other head", follows, 0.15, at_most=True)
    return rows + _mean(claim, "widest opening of the other head", [(c, _widest(x)) for c, x in others], None)


def _widest(opening: np.ndarray) -> float:
    """Of a mouth [F], in any frame. A mean would hide a mouth that twitches."""
    return float(opening.max())


def _events(pairs: _Pairs) -> list[Figure]:
    claim, struck = "effects trigger events", _where(pairs, lambda c: bool(c.truth.event_frames))
    times = {clip.plan.index: clip.truth.event_frames for clip, _ in struck}
    if len(times) < 2:
        return []
    own = [(clip, seen["own"].events, times[clip.plan.index]) for clip, seen in struck]
    swapped = [
        (clip, seen["other_effects"].events, times[clip.plan.index])
        for clip, seen in struck
        if "other_effects" in seen
    ]
    # What the same events would score on other clips' times.
    rolled = [(clip, found, other) for clip, found, _ in own for other in _others(times, clip.plan.index)]
    chance = _f1(claim, "chance: events of other clips", rolled)
    low, high = chance.interval or [chance.value, chance.value]
    rows = [
        _f1(claim, "F1 within a frame", own, 0.90),
        _f1(claim, EXACT_FRAME, own, 0.90, tolerance=0),
        chance,
    ]
    if swapped:
        note = f"chance is {low:.2f} to {high:.2f}"
        rows.append(_f1(claim, "control: another clip's effects", swapped, high, at_most=True, note=note))
    quiet = _where(pairs, lambda c: c.plan.prop is not None and not has_track(c, "effects"))
    strikes = [(clip, float(len(seen["own"].events))) for clip, seen in quiet]
    return rows + _mean(claim, "control: strikes a clip without effects", strikes, 0.10, at_most=True)


def _others(times: dict[int, tuple[int, ...]], index: int) -> list[tuple[int, ...]]:
    """Event times of the clips behind that of an index."""
    order = list(times)
    start = order.index(index)
    count = min(_CHANCES, len(order) - 1)
    return [times[order[(start + step) % len(order)]] for step in range(1, count + 1)]


def _mood(pairs: _Pairs) -> list[Figure]:
    claim, rows = "music sets the mood", []
    for part, (name, field) in enumerate((("hue", "valence"), ("brightness", "energy"))):
        heard = _heard(pairs, "own", part, field)
        rows += _rank(claim, f"rank correlation of {name}", heard, 0.90)
        swapped, control = (
            _heard(pairs, "other_music", part, field),
            f"control: {name} under another clip's music",
        )
        rows += _rank(claim, control, swapped, 0.10, at_most=True)
        # What two clips' moods have in common by chance, a perfect generator would show.
        rows += _rank(claim, f"{control}, beyond chance", swapped, 0.10, at_most=True, beyond_chance=True)
    return rows


def _heard(pairs: _Pairs, variant: str, part: int, field: str) -> list[tuple[TheatreClip, list[float]]]:
    """Of each clip with music: what is seen of its mood, its own music's, and that of the music that was heard."""
    rows = []
    for clip, seen in _where(pairs, lambda c: c.plan.mood is not None):
        if variant in seen:
            moods = clip.plan.mood, seen[variant].case.music.plan.mood  # pyright: ignore[reportOptionalMemberAccess]
            rows.append((clip, [seen[variant].mood[part], *(getattr(mood, field) for mood in moods)]))
    return rows


def _leaks(pairs: _Pairs) -> list[Figure]:
    """How much what belongs to one track moves when another is changed, by how much it moves with its own."""
    claim, rows = "tracks do not leak", []
    for track, distance in _DISTANCES.items():
        for changed in (other for other in TRACKS if other != track):
            told = f"{track} moves when {changed} changes, by its own effect"
            rows += _ratio(claim, told, _moved(pairs, track, changed, distance))
    return rows


def _looks(pairs: _Pairs) -> list[Figure]:
    claim = "text decides the look"
    own = [(clip, _right(clip, seen["own"].looks)) for clip, seen in pairs]
    rows = _mean(claim, "counts and colours right", own, 0.95)
    shuffled = [(clip, seen["other_text"]) for clip, seen in pairs if "other_text" in seen]
    right = [(clip, _right(clip, seen.looks)) for clip, seen in shuffled]
    rows += _mean(claim, "control: another clip's text", right, None)
    beyond = [
        (clip, _right(clip, seen.looks) - _in_common(clip.plan, seen.case.text.plan))
        for clip, seen in shuffled
    ]
    return rows + _mean(claim, "control: another clip's text, beyond chance", beyond, 0.10, at_most=True)


def _right(clip: TheatreClip, looks: Looks) -> float:
    plan = clip.plan
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


def _opening_distance(clip: TheatreClip, a: Seen, b: Seen) -> float | None:
    if clip.plan.speaker is None:
        return None
    return float(np.abs(_speaker(clip, a) - _speaker(clip, b)).mean())


def _event_distance(clip: TheatreClip, a: Seen, b: Seen) -> float | None:
    if not clip.truth.event_frames:
        return None
    return float(len(a.events) + len(b.events) - 2 * match_events(a.events, b.events))


def _mood_distance(clip: TheatreClip, a: Seen, b: Seen) -> float | None:
    if clip.plan.mood is None:
        return None
    return float(np.abs(np.subtract(a.mood, b.mood)).sum())


_DISTANCES = {"speech": _opening_distance, "effects": _event_distance, "music": _mood_distance}


def _moved(
    pairs: _Pairs, track: str, changed: str, distance: Callable[..., float | None]
) -> list[tuple[TheatreClip, float, float]]:
    """Of clips that have both tracks: by how much `track` moves when `changed` changes, and when it does itself."""
    rows = []
    for clip, seen in pairs:
        if f"other_{changed}" in seen and f"other_{track}" in seen:
            leaked, own = (distance(clip, seen["own"], seen[f"other_{name}"]) for name in (changed, track))
            if leaked is not None and own is not None:
                rows.append((clip, leaked, own))
    return rows


def _where(pairs: _Pairs, holds: Callable[[TheatreClip], bool]) -> list[tuple[TheatreClip, Sample]]:
    return [(clip, seen) for clip, seen in pairs if holds(clip)]


def _speaker(clip: TheatreClip, seen: Seen) -> np.ndarray:
    assert clip.plan.speaker is not None
    return seen.openings[clip.plan.speaker]


def _follows(clip: TheatreClip, seen: Seen, lag: int) -> float:
    return lagged_correlation(list(_speaker(clip, seen)), list(clip.truth.envelope), lag)


def _best_lag(clip: TheatreClip, seen: Seen) -> int:
    """Frames by which the lips are late, where they follow the speech best."""
    return best_lag(_speaker(clip, seen), clip.truth.envelope)


def best_lag(openings: np.ndarray, envelope: np.ndarray) -> int:
    """The lag of openings [F] behind an envelope [F] at which they correlate most, in frames."""
    nearest_first = sorted(_EXACT_LAGS, key=abs)
    return max(nearest_first, key=lambda lag: lagged_correlation(openings, envelope, lag))


def _average(values: _Values) -> float:
    return float(np.mean([x for _, x in values]))


def _mean(
    claim: str,
    name: str,
    values: _Values,
    target: float | None,
    *,
    at_most: bool = False,
    note: str = "",
) -> list[Figure]:
    """The mean of values; no figure without any."""
    if not values:
        return []
    numbers, groups = np.array([x for _, x in values]), [clip.plan.index for clip, _ in values]
    interval = bootstrap_of(lambda picks: float(numbers[picks].mean()), groups)
    return [Figure(claim, name, _average(values), interval, len(set(groups)), target, at_most, note)]


def _ratio(claim: str, name: str, rows: list[tuple[TheatreClip, float, float]]) -> list[Figure]:
    """Of (clip, part, whole): all parts by all wholes, which cannot be told if those are nought."""
    if not rows:
        return []
    groups = [clip.plan.index for clip, *_ in rows]
    table, count = np.array([numbers for _, *numbers in rows]), len(set(groups))
    if not table[:, 1].any():
        return [Figure(claim, name, None, None, count, 0.10, True, "its own effect is nought")]

    def figure(picks: Any) -> float:
        part, whole = table[picks].sum(axis=0)
        return float(part / max(whole, 1e-9))

    return [Figure(claim, name, figure(slice(None)), bootstrap_of(figure, groups), count, 0.10, True)]


def _f1(
    claim: str,
    name: str,
    rows: Sequence,
    target: float | None = None,
    *,
    at_most: bool = False,
    note: str = "",
    tolerance: int = 1,
) -> Figure:
    """F1 over all events of (clip, found, true) rows; two events at most `tolerance` frames apart are a pair."""
    counts = np.array(
        [(match_events(found, true, tolerance), len(found), len(true)) for _, found, true in rows]
    )
    groups = [clip.plan.index for clip, *_ in rows]

    def figure(picks: Any) -> float:
        return f1_score(*(int(n) for n in counts[picks].sum(axis=0)))

    interval = bootstrap_of(figure, groups)
    return Figure(claim, name, figure(slice(None)), interval, len(set(groups)), target, at_most, note)


def _rank(
    claim: str,
    name: str,
    rows: list[tuple[TheatreClip, list[float]]],
    target: float,
    *,
    at_most: bool = False,
    beyond_chance: bool = False,
) -> list[Figure]:
    """Rank correlation of what is seen with a clip's own music (first and second number of a row).

    Beyond chance: less that of the music heard (the third) with the clip's own. No figure for fewer than three clips.
    """
    groups = [clip.plan.index for clip, _ in rows]
    if len(set(groups)) < 3:
        return []
    table = np.array([numbers for _, numbers in rows])

    def figure(picks: Any) -> float:
        seen, own, heard = table[picks].T
        return rank_correlation(seen, own) - (rank_correlation(heard, own) if beyond_chance else 0.0)

    interval = bootstrap_of(figure, groups)
    return [Figure(claim, name, figure(slice(None)), interval, len(set(groups)), target, at_most)]
