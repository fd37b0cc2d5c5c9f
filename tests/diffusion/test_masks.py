import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import pytest

from mtv_jax.diffusion.masks import KeyframeConfig, _pattern, draw_clean_mask
from mtv_jax.io.errors import UserError

FIELDS = [field.name for field in dataclasses.fields(KeyframeConfig)]


@functools.partial(jax.jit, static_argnums=2)
def patterns(kind, key, frames):
    # The kind is traced, so one compilation serves every pattern; 400 draws of it.
    return jax.vmap(lambda k: _pattern(kind, k, frames))(jax.random.split(key, 400))


def masks_of(name, frames):
    return np.asarray(patterns(FIELDS.index(name), jax.random.key(0), frames))


def runs(mask) -> Any:
    """Start and length of the only run of true, or None if there are several."""
    places = np.flatnonzero(mask)
    return (places[0], len(places)) if np.ptp(places) + 1 == len(places) else None


def test_defaults_give_a_quarter_of_samples_keyframes_most_at_the_head():
    count, draw = 40_000, jax.jit(draw_clean_mask, static_argnums=(1, 2))
    assert sum(KeyframeConfig().probabilities()) == pytest.approx(0.25)
    masks = np.asarray(draw(jax.random.key(1), count, 13))
    np.testing.assert_array_equal(masks, draw(jax.random.key(1), count, 13))
    assert (masks != np.asarray(draw(jax.random.key(2), count, 13))).any()
    assert masks.shape == (count, 13)
    assert masks.dtype == bool
    only_head = (masks.sum(1) == 1) & masks[:, 0]
    # Of patterns 13 frames long, a head run of one (a third of .002) also looks like image_head.
    for share, expected in ((masks.any(1).mean(), 0.25), (only_head.mean(), 0.22 + 0.002 / 3)):
        assert share == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / count) + 1e-3)


def test_fixed_patterns():
    first, last = np.arange(13) == 0, np.arange(13) == 12
    assert (masks_of("image_head", 13) == first).all()
    assert (masks_of("image_tail", 13) == last).all()
    assert (masks_of("image_head_tail", 13) == (first | last)).all()
    parities = {tuple(row) for row in masks_of("interpolate", 13)}
    assert parities == {tuple(np.arange(13) % 2 == p) for p in (0, 1)}


def test_quarter_runs_have_one_to_a_quarter_of_the_frames():
    for name in ("quarter_head", "quarter_tail", "quarter_random"):
        found = [runs(row) for row in masks_of(name, 13)]
        assert {length for _, length in found} == {1, 2, 3}
        starts = {(start, length) for start, length in found}
        if name == "quarter_head":
            assert {start for start, _ in starts} == {0}
        elif name == "quarter_tail":
            assert {start + length for start, length in starts} == {13}
        else:  # every place where the run fits, and no other
            assert starts == {(start, length) for length in (1, 2, 3) for start in range(14 - length)}


def test_runs_at_both_ends_are_equally_long():
    for row in masks_of("quarter_head_tail", 13):
        assert (row == row[::-1]).all()
        assert 1 <= row[:6].sum() <= 3


def test_random_marks_a_share_between_a_tenth_and_nine_tenths():
    shares = masks_of("random", 49).mean(1)
    assert shares.mean() == pytest.approx(0.5, abs=5 * 0.25 / 20)
    assert shares.min() < 0.25
    assert shares.max() > 0.75


@pytest.mark.parametrize("frames", [1, 2])
def test_some_frame_is_always_left_to_make(frames):
    for name in FIELDS:
        masks = masks_of(name, frames)
        assert not masks.all(1).any()
        if frames == 1:
            assert not masks.any()


def test_probabilities_that_cannot_be_are_refused():
    for bad in ({"image_head": 0.99, "random": 0.5}, {"image_tail": -0.1}):
        with pytest.raises(UserError, match="keyframe probabilities"):
            KeyframeConfig(**bad)
