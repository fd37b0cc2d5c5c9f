"""Readers of theatre clips: right on clips they were not fitted on, and wrong where they ought to be."""

from dataclasses import replace

import numpy as np
import pytest

from mtv_jax.evaluation.theatre.readers import NO_PROP, fitting_clips, match_events, mood_of, readers_of
from mtv_jax.theatre import EVALUATION_SEEDS, render_clip, render_frames
from mtv_jax.theatre.plan import Prop, prop_places


@pytest.fixture(scope="module")
def readers():
    return readers_of(fitting_clips(120))


@pytest.fixture(scope="module")
def clips():
    return [render_clip(EVALUATION_SEEDS, index) for index in range(40)]


def speakers(clips):
    return [(clip, clip.plan.speaker) for clip in clips if clip.plan.speaker is not None]


def correlation(a, b):
    return float(np.corrcoef(a, b)[0, 1])


def test_the_mouth_of_who_speaks_follows_the_speech_and_no_other(readers, clips):
    own, swapped, errors = [], [], []
    pairs = speakers(clips)
    for (clip, number), (other, _) in zip(pairs, [*pairs[1:], pairs[0]], strict=True):
        openings = readers.openings(clip.frames, clip.plan)
        own.append(correlation(openings[number], clip.truth.envelope))
        swapped.append(correlation(openings[number], other.truth.envelope))
        errors.append(np.abs(openings[number] - clip.truth.openings[number]).mean())
        for silent in set(range(len(openings))) - {number}:
            assert openings[silent].max() < 0.1
    assert min(own) > 0.97
    assert np.mean(errors) < 0.03
    assert max(errors) < 0.1
    assert abs(np.mean(swapped)) < 0.2


def test_events_are_found_in_their_frames(readers, clips):
    found = [readers.event_frames(clip.frames, clip.plan) for clip in clips]
    true = [clip.truth.event_frames for clip in clips]
    hits = sum(match_events(a, b, tolerance=0) for a, b in zip(found, true, strict=True))
    assert 2 * hits / (sum(map(len, found)) + sum(map(len, true))) > 0.98


def test_a_frozen_clip_shows_neither_speech_nor_events(readers, clips):
    clip, number = speakers(clips)[0]
    frozen = np.repeat(clip.frames[:1], len(clip.frames), axis=0)
    assert np.ptp(readers.openings(frozen, clip.plan)[number]) < 1e-6
    assert readers.event_frames(frozen, clip.plan) == ()


def test_mood_is_read_from_the_colours(clips):
    for clip in clips:
        if clip.plan.mood:
            valence, energy = mood_of(clip.frames)
            assert valence == pytest.approx(clip.plan.mood.valence, abs=0.02)
            assert energy == pytest.approx(clip.plan.mood.energy, abs=0.02)


def test_counts_and_colours(readers, clips):
    right = total = 0
    for clip in clips:
        looks, plan = readers.looks(clip.frames, clip.plan), clip.plan
        pairs = [(looks.heads, len(plan.actors)), (looks.prop, plan.prop.name if plan.prop else NO_PROP)]
        for field, part in (("skins", "skin"), ("hairs", "hair"), ("shirts", "shirt")):
            wanted = [getattr(actor.look, part) for actor in plan.actors]
            pairs += list(zip(getattr(looks, field), wanted, strict=True))
        right += sum(a == b for a, b in pairs)
        total += len(pairs)
    assert right / total > 0.97


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_prop_that_was_not_requested_is_detected(readers, clips, side):
    alone = [clip.plan for clip in clips if len(clip.plan.actors) == 1 and clip.plan.prop is None]
    place = prop_places(1)[side]
    for plan in alone:
        shown = render_frames(replace(plan, prop=Prop("bell", place, side, ())))
        assert readers.looks(shown, plan).prop == "bell"
    assert alone


@pytest.mark.parametrize(
    ("found", "true", "pairs"),
    [((3,), (4,), 1), ((3,), (5,), 0), ((3, 4), (4,), 1), ((3, 5), (4, 4), 2), ((), (1,), 0)],
)
def test_events_are_matched_one_to_one(found, true, pairs):
    assert match_events(found, true) == pairs
