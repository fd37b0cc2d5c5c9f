"""Readers of sounding objects: exact on the world's own frames, and not fooled by an empty stage."""

import numpy as np
import pytest

from mtv_jax.evaluation.objects.readers import NOTHING, kind_in_box, overlap, read_things
from mtv_jax.theatre import EVALUATION_SEEDS
from mtv_jax.theatre.objects import KINDS, plan_objects, render_objects


@pytest.fixture(scope="module")
def clips():
    return [render_objects(plan_objects(EVALUATION_SEEDS, index)) for index in range(30)]


def test_every_thing_is_read_where_it_stands_and_no_other(clips):
    for clip in clips:
        seen = read_things(clip.frames)
        assert {kind for kind in KINDS if seen[kind].there.any()} == set(clip.places)
        for kind, place in clip.places.items():
            assert kind_in_box(clip.frames, place) == kind
            assert overlap(seen[kind].box, clip.boxes[kind]).min() > 0.6


def test_brightness_follows_activity(clips):
    pairs = [
        (activity, light)
        for clip in clips
        for kind, seen in read_things(clip.frames).items()
        if kind in clip.places
        for activity, light in zip(clip.activity[kind], seen.brightness, strict=True)
    ]
    assert np.corrcoef(np.array(pairs).T)[0, 1] > 0.99


def test_a_box_beside_all_things_holds_nothing(clips):
    clip = next(clip for clip in clips if len(clip.places) == 1)
    (place,) = clip.places.values()
    aside = np.array([0.0, 0.0, place[0], 1.0]) if place[0] > 0.3 else np.array([place[2], 0.0, 1.0, 1.0])
    assert kind_in_box(clip.frames, aside) == NOTHING
    grey = np.full((2, 64, 96, 3), 120, np.uint8)
    assert not any(seen.there.any() for seen in read_things(grey).values())


def test_overlap_is_intersection_over_union():
    a = np.array([0.0, 0.0, 0.5, 0.5])
    assert overlap(a, a) == pytest.approx(1)
    assert overlap(a, np.array([0.25, 0.0, 0.75, 0.5])) == pytest.approx(1 / 3)
    assert overlap(a, np.array([0.5, 0.5, 1.0, 1.0])) == 0
    assert overlap(a, np.full(4, np.nan)) == 0
