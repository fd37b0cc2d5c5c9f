"""SpecAugment: known warps and masks, draws within their limits, and nothing where nothing is asked for."""

import jax
import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.ops.spec_augment import SpecAugmentConfig, draw_masks, draw_warp, spec_augment, time_warp

KEY = jax.random.key(0)
OFF = SpecAugmentConfig(frequency_masks=0, time_warp=0)


def test_a_warp_moves_one_frame_and_keeps_the_ends():
    ramp = np.arange(21.0, dtype=np.float32)[None, None]
    (out,) = np.asarray(time_warp(ramp, np.array([10]), np.array([4])))[0]
    np.testing.assert_allclose(out[[0, 14, 20]], [0, 10, 20], atol=1e-5)
    np.testing.assert_allclose(out[:15], np.arange(15) * 10 / 14, atol=1e-5)
    np.testing.assert_allclose(out[14:], 10 + np.arange(7) * 10 / 6, atol=1e-5)
    np.testing.assert_array_equal(time_warp(ramp, np.array([10]), np.array([0])), ramp)


def test_warps_are_drawn_per_row_within_their_limits():
    centre, shift = (np.asarray(x) for x in draw_warp(KEY, 5000, 30, 5))
    assert (centre.min(), centre.max()) == (6, 23)
    assert (shift.min(), shift.max()) == (-5, 5)
    with pytest.raises(UserError, match="time_warp 5: needs spectrograms of 13 frames, these have 12"):
        draw_warp(KEY, 1, 12, 5)


def test_masks_are_intervals_of_every_length_anywhere():
    masks = np.asarray(draw_masks(KEY, 5000, 40, 1, 27))
    widths = masks.sum(1)
    assert (widths.min(), widths.max()) == (0, 27)
    assert np.abs(np.bincount(widths, minlength=28) / 5000 - 1 / 28).max() < 0.012
    changes = np.abs(np.diff(masks.astype(int), prepend=0, append=0, axis=1)).sum(1)
    assert set(changes) == {0, 2}, "one interval"
    assert masks.any(0).all()
    two = np.asarray(draw_masks(KEY, 5000, 40, 2, 5))
    assert two.sum(1).max() == 10
    with pytest.raises(UserError, match="masks of up to 27: spectrograms have 20"):
        draw_masks(KEY, 1, 20, 2, 27)


def test_masks_are_of_bands_unless_asked_otherwise():
    mel = np.ones((3, 128, 40), np.float32)
    banded = np.asarray(spec_augment(KEY, mel, SpecAugmentConfig(time_warp=0)))
    assert (banded == banded[:, :, :1]).all(), "a whole band"
    assert set(np.unique(banded)) == {0.0, 1.0}
    assert len({row.tobytes() for row in banded}) == 3, "each row has draws of its own"
    timed = SpecAugmentConfig(frequency_masks=0, time_warp=0, time_masks=2, time_mask_width=9)
    timed = np.asarray(spec_augment(KEY, mel, timed))
    assert (timed == timed[:, :1]).all()
    assert set(np.unique(timed)) == {0.0, 1.0}


def test_without_masks_and_warp_it_is_the_identity():
    mel = np.random.default_rng(0).normal(size=(2, 128, 40)).astype(np.float32)
    np.testing.assert_array_equal(spec_augment(KEY, mel, OFF), mel)
    assert not OFF.on
    assert not SpecAugmentConfig(frequency_mask_width=0, time_warp=0).on
    changed = np.asarray(spec_augment(KEY, mel, SpecAugmentConfig()))
    np.testing.assert_array_equal(changed, spec_augment(KEY, mel, SpecAugmentConfig()))
    assert np.abs(changed - mel).max() > 0.1
    assert np.abs(changed - np.asarray(spec_augment(jax.random.key(1), mel, SpecAugmentConfig()))).max() > 0.1


def test_numbers_that_make_no_sense_are_refused():
    with pytest.raises(UserError, match="time_warp"):
        SpecAugmentConfig(time_warp=-1)
