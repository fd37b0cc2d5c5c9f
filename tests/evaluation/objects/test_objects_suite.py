"""The objects suite: all figures are right on the world's own frames, and each falls under the fault that it is for."""

from dataclasses import replace

import numpy as np
import pytest

from mtv_jax.evaluation.objects.cases import (
    OTHER_BOXES,
    OTHER_SOUNDS,
    OWN,
    SILENCE,
    evaluation_clips,
    performed,
    see,
    variants,
)
from mtv_jax.evaluation.objects.suite import changes, figures
from mtv_jax.theatre.objects import ObjectClip, render_objects


@pytest.fixture(scope="module")
def clips() -> list[ObjectClip]:
    return evaluation_clips(12, things=2)


def values_of(samples):
    return {figure.id.removeprefix("objects."): figure.value for figure in figures(samples)}


def seen(clips, draw=performed):
    return [{name: see(case, draw(case)) for name, case in cases.items()} for cases in variants(clips, 0)]


def test_variants_change_one_thing(clips):
    for clip, cases in zip(clips, variants(clips, 0), strict=True):
        own = cases[OWN]
        assert set(own.places) == set(clip.places)
        assert cases[OTHER_BOXES].sounds is own.sounds
        assert all(
            not np.array_equal(cases[OTHER_BOXES].places[kind], own.places[kind]) for kind in own.places
        )
        assert not any(sound.any() for sound in cases[SILENCE].sounds.values())
        if OTHER_SOUNDS in cases:
            assert cases[OTHER_SOUNDS].places is own.places


def test_perfect_pictures_reach_the_ceilings_and_controls_fail(clips):
    found = values_of(seen(clips))
    assert found["accuracy"] == found["all_right"] == found["other_boxes"] == 1
    assert found["other_sounds_followed"] == 1
    assert found["other_sounds"] == 0  # another clip's sounds are of none of its kinds
    assert found["silence"] < 1
    assert found["overlap"] > 0.75
    assert found["changes_exact"] == found["changes_f1"] == 1
    assert found["changes_of_others"] < 0.8
    assert found["brightness"] > 0.97
    assert found["size"] > 0.8
    assert found["brightness_of_sounding"] > 0.9
    assert found["size_of_sounding"] > 0.6


def test_things_in_each_others_boxes_are_wrong(clips):
    found = values_of(seen(clips, lambda case: performed(variants([case.clip], 0)[0][OTHER_BOXES])))
    assert found["accuracy"] == 0
    assert found["overlap"] < 0.1


def test_pictures_that_are_late_lose_the_changes_and_not_the_places(clips):
    found = values_of(seen(clips, lambda case: np.roll(performed(case), 2, axis=0)))
    assert found["accuracy"] == 1
    assert found["changes_f1"] < 0.5


def test_a_pair_without_one_of_its_things_is_half_right(clips):
    def first_only(case):
        return render_objects(replace(case.clip.plan, things=case.clip.plan.things[:1])).frames

    found = values_of(seen(clips, first_only))
    assert (found["accuracy"], found["all_right"]) == (0.5, 0)


def test_changes_are_frames_of_beginnings_and_ends():
    assert changes(np.array([False, False, True, True, False])) == (2, 4)
    assert changes(np.array([True, True])) == ()


def test_things_that_are_on_or_off_do_not_follow_loudness(clips):
    def switched(case):
        def thing(it):
            return replace(it, activity=tuple(float(level > 0) for level in it.activity))

        things = tuple(thing(it) for it in case.clip.plan.things)
        return render_objects(replace(case.clip.plan, things=things)).frames

    found = values_of(seen(clips, switched))
    assert found["changes_exact"] == 1
    assert found["brightness"] > 0.5  # sound and silence alone
    assert abs(found["brightness_of_sounding"]) < 0.2


def test_changes_within_segments_are_lost_where_they_are_drawn_between_them():
    clips = evaluation_clips(12, things=2, changes_at=1.0)
    assert values_of(seen(clips))["changes_exact"] == 1
    found = values_of(seen(clips, lambda case: np.roll(performed(case), -2, axis=0)))
    assert found["changes_f1"] < 0.5
