"""Does a model follow each track of its sound, and its text? Figures over theatre clips, each beside its control.

A `Case` is a clip to be generated: the text of one, and each track of that one, of another one, or silence. What makes
frames of cases is the caller's (a pipeline, or the theatre itself: that is the ceiling). Readers see only frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mtv_jax.data.theatre import TheatreClip
from mtv_jax.evaluation.statistics import (
    bootstrap,
    bootstrap_of,
    correlation,
    f1_score,
    lagged_correlation,
    rank_correlation,
)
from mtv_jax.evaluation.theatre_readers import NO_PROP, Looks, Readers, match_events, mood_of
from mtv_jax.typing import TRACKS

LAGS = (-1, 0, 1)
"""Frames by which lips may be late, the same for all clips."""


@dataclass(frozen=True)
class Case:
    """A clip to be generated.

    Attributes:
      clip: whose text and places it has, and what is expected of it.
      speech, effects, music: the clip whose track is heard; None: silence.
      text: the clip whose text is given.
      seed: of the noise.
    """

    clip: TheatreClip
    speech: TheatreClip | None
    effects: TheatreClip | None
    music: TheatreClip | None
    text: TheatreClip
    seed: int

    @property
    def tracks(self) -> dict[str, np.ndarray]:
        """Waves of the three tracks, 16 kHz."""
        clips = {name: getattr(self, name) for name in TRACKS}
        return {
            name: np.zeros_like(self.clip.tracks[name]) if clip is None else clip.tracks[name]
            for name, clip in clips.items()
        }


@dataclass(frozen=True)
class Seen:
    """What readers see in a case's frames."""

    openings: np.ndarray
    events: tuple[int, ...]
    mood: tuple[float, float]
    looks: Looks


@dataclass(frozen=True)
class Figure:
    """A line of the table. `at_most` says which side of the target is right; without a target it is told only."""

    claim: str
    name: str
    value: float
    interval: list[float] | None
    clips: int
    target: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is."""
        if self.target is None:
            return None
        return abs(self.value) <= self.target if self.at_most else self.value >= self.target

    def to_json(self) -> dict[str, Any]:
        """All fields and whether the target is met."""
        return {**vars(self), "met": self.met}


Sample = dict[str, Seen]
"""What is seen of one clip under each variant of `variants`."""


def variants(clips: Sequence[TheatreClip], seed: int) -> list[dict[str, Case]]:
    """For each clip: itself (`own`), with one track of another clip (`other_<track>`), without speech, and with
    the text of another clip (`other_text`). The others are the next that have such a track; where there is none, or
    the clip itself has none, the variant is left out."""
    cases = []
    for number, clip in enumerate(clips):
        own = Case(clip, clip, clip, clip, clip, seed)
        rest = [*clips[number + 1 :], *clips[:number]]
        found = {"own": own}
        for track in TRACKS:
            other = next((c for c in rest if _has(c, track)), None)
            if other is not None and _has(clip, track):
                found[f"other_{track}"] = replace(own, **{track: other})
        if clip.plan.speaker is not None:
            found["silent_speech"] = replace(own, speech=None)
        if rest:
            found["other_text"] = replace(own, text=rest[0])
        cases.append(found)
    return cases


def see(readers: Readers, case: Case, frames: np.ndarray) -> Seen:
    """Reads the frames of a case."""
    plan = case.clip.plan
    return Seen(
        readers.openings(frames, plan),
        readers.event_frames(frames, plan),
        mood_of(frames),
        readers.looks(frames, plan),
    )


def figures(clips: Sequence[TheatreClip], samples: Sequence[Sample]) -> list[Figure]:
    """The table: all figures that these clips allow."""
    pairs = list(zip(clips, samples, strict=True))
    makers: list[Callable[[Any], list[Figure]]] = [_lips, _other_head, _events, _mood, _leaks, _looks]
    return [figure for maker in makers for figure in maker(pairs)]


_Pairs = Sequence[tuple[TheatreClip, Sample]]


def _lips(pairs: _Pairs) -> list[Figure]:
    claim = "speech moves the speaker's lips"
    spoken = _where(pairs, lambda c: c.plan.speaker is not None)
    if not spoken:
        return []
    by_lag = {lag: [_follows(clip, seen["own"], lag) for clip, seen in spoken] for lag in LAGS}
    lag = max(LAGS, key=lambda lag: float(np.mean(by_lag[lag])))
    rows = [_mean(claim, f"correlation with loudness, lag {lag}", by_lag[lag], 0.85)]
    swapped = [_follows(c, seen["other_speech"], lag) for c, seen in spoken if "other_speech" in seen]
    rows += _mean_if(claim, "control: another clip's speech", swapped, 0.10, at_most=True)
    silent = [float(_speaker(c, s["silent_speech"]).mean()) for c, s in spoken if "silent_speech" in s]
    return rows + _mean_if(claim, "control: opening without speech", silent, 0.10, at_most=True)


def _other_head(pairs: _Pairs) -> list[Figure]:
    values = []
    for clip, seen in _where(pairs, lambda c: c.plan.speaker is not None and len(c.plan.actors) == 2):
        other = seen["own"].openings[1 - (clip.plan.speaker or 0)]
        values.append(correlation(other, clip.truth.envelope))
    return _mean_if("only the speaker's", "correlation of the other head", values, 0.15, at_most=True)


def _events(pairs: _Pairs) -> list[Figure]:
    claim, struck = "effects trigger events", _where(pairs, lambda c: bool(c.truth.event_frames))
    if len(struck) < 2:
        return []
    true = [clip.truth.event_frames for clip, _ in struck]
    own = [seen["own"].events for _, seen in struck]
    rows = [_f1(claim, "F1 within a frame", own, true, 0.90)]
    # What the same events would score on other clips' times.
    rolled = [times for k in (1, 2, 3) for times in [*true[k:], *true[:k]]]
    chance = _f1(claim, "chance: events of other clips", own * 3, rolled)
    rows.append(chance)
    swapped = [
        (seen["other_effects"].events, t)
        for (_, seen), t in zip(struck, true, strict=True)
        if "other_effects" in seen
    ]
    if swapped:
        low, high = chance.interval or [chance.value, chance.value]
        name = f"control: another clip's effects (chance is {low:.2f} to {high:.2f})"
        rows.append(_f1(claim, name, [a for a, _ in swapped], [b for _, b in swapped]))
    return rows


def _mood(pairs: _Pairs) -> list[Figure]:
    claim, played = "music sets the mood", _where(pairs, lambda c: c.plan.mood is not None)
    rows = []
    for index, (name, field) in enumerate((("hue", "valence"), ("brightness", "energy"))):
        for variant, told, target in (
            ("own", f"rank correlation of {name}", 0.90),
            ("other_music", f"control: {name} under another clip's music", 0.10),
        ):
            found = [(s[variant].mood[index], getattr(c.plan.mood, field)) for c, s in played if variant in s]
            if len(found) < 3:
                continue
            values = np.array(found)

            def figure(picks: np.ndarray, values: np.ndarray = values) -> float:
                return rank_correlation(*values[picks].T)

            rows.append(
                Figure(
                    claim,
                    told,
                    figure(np.arange(len(values))),
                    bootstrap_of(figure, len(values)),
                    len(values),
                    target,
                    at_most=variant != "own",
                )
            )
    return rows


def _leaks(pairs: _Pairs) -> list[Figure]:
    """How much what belongs to one track moves when another is changed, by how much it moves with its own."""
    rows = []
    for track, distance in _DISTANCES.items():
        own = _moved(pairs, f"other_{track}", track, distance)
        for changed in (other for other in TRACKS if other != track):
            leaked = _moved(pairs, f"other_{changed}", track, distance)
            if own and leaked and np.mean(own) > 0:
                scale = float(np.mean(own))
                told = f"{track} moves when {changed} changes, by its own effect"
                rows.append(
                    _mean("tracks do not leak", told, [x / scale for x in leaked], 0.10, at_most=True)
                )
    return rows


def _looks(pairs: _Pairs) -> list[Figure]:
    claim, rows = "text decides the look", []
    for variant, told, target in (
        ("own", "counts and colours right", 0.95),
        ("other_text", "chance: another clip's text", None),
    ):
        values = [_right(clip, seen[variant].looks) for clip, seen in pairs if variant in seen]
        rows += _mean_if(claim, told, values, target)
    return rows


def _right(clip: TheatreClip, looks: Looks) -> float:
    plan = clip.plan
    found = [looks.heads == len(plan.actors), looks.prop == (plan.prop.name if plan.prop else NO_PROP)]
    for actor, *colours in zip(plan.actors, looks.skins, looks.hairs, looks.shirts, strict=True):
        found += [
            a == b for a, b in zip(colours, (actor.look.skin, actor.look.hair, actor.look.shirt), strict=True)
        ]
    return float(np.mean(found))


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


def _moved(pairs: _Pairs, variant: str, track: str, distance: Callable[..., float | None]) -> list[float]:
    found = [
        distance(c, seen["own"], seen[variant]) for c, seen in pairs if variant in seen and _has(c, track)
    ]
    return [x for x in found if x is not None]


def _has(clip: TheatreClip, track: str) -> bool:
    return bool(np.any(clip.tracks[track]))


def _where(pairs: _Pairs, holds: Callable[[TheatreClip], bool]) -> list[tuple[TheatreClip, Sample]]:
    return [(clip, seen) for clip, seen in pairs if holds(clip)]


def _speaker(clip: TheatreClip, seen: Seen) -> np.ndarray:
    assert clip.plan.speaker is not None
    return seen.openings[clip.plan.speaker]


def _follows(clip: TheatreClip, seen: Seen, lag: int) -> float:
    return lagged_correlation(list(_speaker(clip, seen)), list(clip.truth.envelope), lag)


def _mean(
    claim: str, name: str, values: list[float], target: float | None, *, at_most: bool = False
) -> Figure:
    return Figure(claim, name, float(np.mean(values)), bootstrap(values), len(values), target, at_most)


def _mean_if(
    claim: str, name: str, values: list[float], target: float | None, *, at_most: bool = False
) -> list[Figure]:
    return [_mean(claim, name, values, target, at_most=at_most)] if values else []


def _f1(claim: str, name: str, found: list, true: list, target: float | None = None) -> Figure:
    counts = np.array([(match_events(a, b), len(a), len(b)) for a, b in zip(found, true, strict=True)])

    def figure(picks: np.ndarray) -> float:
        return f1_score(*(int(n) for n in counts[picks].sum(axis=0)))

    return Figure(
        claim, name, figure(np.arange(len(counts))), bootstrap_of(figure, len(counts)), len(counts), target
    )
