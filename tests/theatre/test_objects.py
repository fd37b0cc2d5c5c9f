"""Sounding objects: clips repeat, things stand apart, are as loud as they look, and differ in sound."""

import dataclasses
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACK_RATE
from mtv_jax.theatre.objects import (
    BACKGROUNDS,
    KINDS,
    SEGMENT,
    ObjectsConfig,
    objects_prompt,
    plan_objects,
    render_objects,
)
from mtv_jax.theatre.objects.clip import LEVEL
from mtv_jax.theatre.objects.kinds import size_of
from mtv_jax.theatre.objects.sounds import sound_of


def test_a_clip_is_determined_by_seed_and_index():
    one, again = (render_objects(plan_objects(3, 5)) for _ in range(2))
    np.testing.assert_array_equal(one.frames, again.frames)
    np.testing.assert_array_equal(one.mix, again.mix)
    assert one.frames.shape == (16, 64, 96, 3)
    assert len({render_objects(plan_objects(*at)).frames.tobytes() for at in ((3, 5), (3, 6), (4, 5))}) == 3


def test_things_are_of_different_kinds_and_do_not_overlap():
    counts = set()
    for index in range(200):
        plan = plan_objects(1, index)
        counts.add(len(plan.things))
        assert len({thing.kind for thing in plan.things}) == len(plan.things)
        ordered = sorted(plan.things, key=lambda thing: thing.x)
        assert all(a.x + a.half_width < b.x - b.half_width for a, b in pairwise(ordered))
        for t in plan.things:
            assert t.x - t.half_width > -16
            assert t.x + t.half_width < 80
            assert t.y - t.half_height > 0
            assert t.y + t.half_height < 64
        assert plan.things or plan.background
        assert any(level for levels in plan.activities.values() for level in levels)
    assert counts == {0, 1, 2, 3}


def test_a_source_is_as_loud_in_each_segment_as_its_activity():
    length = SEGMENT * TRACK_RATE
    for index in range(12):
        clip = render_objects(plan_objects(2, index))
        for name, wave in clip.sources.items():
            assert len(wave) == 8 * TRACK_RATE
            for segment, level in enumerate(clip.plan.activities[name]):
                inside = wave[segment * length + 400 : (segment + 1) * length - 400]
                rms = float(np.sqrt(np.mean(inside.astype(np.float64) ** 2)))
                if level == 0:
                    assert rms == 0
                else:
                    assert (rms / LEVEL) ** 0.6 == pytest.approx(level, rel=0.15)
        np.testing.assert_allclose(clip.mix, sum(clip.sources.values()), atol=1e-6)


def test_boxes_are_as_large_as_the_activity_and_lie_in_the_place():
    clip = render_objects(plan_objects(2, 2, ObjectsConfig(steady=0.0)))
    for kind, place in clip.places.items():
        areas = np.prod(clip.boxes[kind][:, 2:] - clip.boxes[kind][:, :2], axis=1)
        whole = np.prod(place[2:] - place[:2])
        np.testing.assert_allclose(areas, whole * size_of(clip.activity[kind]) ** 2, rtol=1e-3)
    assert any(len(set(levels)) > 1 for levels in clip.activity.values())


@pytest.mark.parametrize(
    ("changes_at", "frames"), [(0.0, {4, 8, 12}), (1.0, {2, 6, 10, 14}), (0.5, {1, 5, 9, 13})]
)
def test_levels_change_in_sight_and_sound_at_the_second_asked(changes_at, frames):
    config = ObjectsConfig(
        things=(0.0, 1.0, 0.0, 0.0), background=0.0, steady=0.0, silent=0.0, changes_at=changes_at
    )
    clip = render_objects(plan_objects(3, 1, config))
    (levels,) = clip.activity.values()
    assert set(np.flatnonzero(np.diff(levels)) + 1) == frames
    (wave,) = clip.sources.values()
    loudness = np.sqrt((wave.reshape(16, -1).astype(float) ** 2).mean(axis=1)) / LEVEL
    np.testing.assert_allclose(loudness**0.6, levels, rtol=0.25)


def test_a_prompt_names_things_and_lasting_states():
    config = ObjectsConfig(things=(0.0, 0.0, 1.0, 0.0), background=1.0, steady=1.0, state_words=1.0)
    plan = plan_objects(0, 0, config)
    first, second = plan.things
    words = objects_prompt(plan)
    assert [word in words for word in (first.kind, second.kind, str(plan.background))] == [True] * 3
    assert sum(words.count(state) for state in ("silent", "soft", "loud")) == 3
    quiet = dataclasses.replace(plan, stated=False)
    assert objects_prompt(quiet) == f"a {first.kind} and a {second.kind}, {plan.background}"
    changing = dataclasses.replace(first, activity=(0.5, 1.0, 1.0, 1.0))
    assert f"a {first.kind} and" in objects_prompt(dataclasses.replace(plan, things=(changing, second)))


def test_a_prompt_may_leave_sources_out_but_never_all():
    config = ObjectsConfig(things=(0.0, 0.0, 0.5, 0.5), background=0.5, unnamed=0.5)
    named = there = 0
    for index in range(100):
        plan = plan_objects(5, index, config)
        words = set(objects_prompt(plan).replace(",", "").split())
        assert words & set(plan.activities) == set(plan.named) != set()
        named, there = named + len(plan.named), there + len(plan.activities)
        whole = plan_objects(5, index, dataclasses.replace(config, unnamed=0.0))
        assert set(whole.named) == set(plan.activities)
        assert (whole.things, whole.grey) == (plan.things, plan.grey)
    assert 0.6 < named / there < 0.75  # 1/n + (1 - 1/n) / 2 of n


def test_single_sources_keep_their_level():
    config = ObjectsConfig.single_sources()
    silent = 0
    for index in range(100):
        levels = plan_objects(0, index, config).activities
        assert len(levels) == 1
        (level,) = set(next(iter(levels.values())))
        silent += level == 0
    assert 3 <= silent <= 20


def test_kinds_differ_in_sound():
    """The mean spectrum of two seconds tells the kind, from another voice of each."""

    def spectrum(kind, seed):
        wave = sound_of(np.random.default_rng(seed), kind, 2 * TRACK_RATE, TRACK_RATE)
        power = np.abs(np.fft.rfft(wave)) ** 2
        bands = np.array_split(power[: 2 * 7000], 40)
        return np.log([band.sum() / power.sum() + 1e-4 for band in bands])

    names = [*KINDS, *BACKGROUNDS]
    known = np.stack([np.mean([spectrum(kind, seed) for seed in range(6)], axis=0) for kind in names])
    for number, kind in enumerate(names):
        for seed in range(10, 16):
            assert np.argmin(((known - spectrum(kind, seed)) ** 2).sum(1)) == number, kind


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"num_frames": 0}, "num_frames 0"),
        ({"width": 64}, "1.5 times"),
        ({"height": 50}, "multiple of 16"),
        ({"things": (0.5, 0.5, 0.5, 0.5)}, "add up to 1"),
        ({"fps": Fraction(-1)}, "positive"),
        ({"changes_at": 2.0}, "changes_at 2.0: must be at least 0 and less than 2 s"),
    ],
)
def test_impossible_worlds_are_refused(values, words):
    with pytest.raises(UserError, match=words):
        ObjectsConfig(**values)
