"""Which sources the cells of a grid hear, where boxes are small or few are heard."""

import dataclasses

import jax
import numpy as np
import pytest

from mtv_jax.diffusion.mosaic import regions
from mtv_jax.diffusion.mosaic.mosaic import Mosaic
from mtv_jax.diffusion.mosaic.options import MosaicOptions

sources_in_boxes = jax.jit(regions.sources_in_boxes, static_argnums=1)
pulls = jax.jit(regions.pulls, static_argnums=1)
outside_all = jax.jit(regions.outside_all, static_argnums=1)


def mosaic(*boxes, rows=1, outside="nearest"):
    """Sources that stand still for one frame."""
    n = len(boxes)
    return Mosaic(
        tuple(f"source {i}" for i in range(n)),
        np.broadcast_to(np.asarray(boxes, np.float32)[:, None], (rows, n, 1, 4)),
        np.zeros((rows, n), bool),
        np.ones((rows, n), bool),
        np.zeros(rows, np.float32),
        MosaicOptions(outside=outside),
    )


def test_the_smaller_of_two_small_boxes_wins_where_both_are():
    """Their areas differ by less than a thousandth of the frame."""
    found = sources_in_boxes(mosaic((0.5, 0.5, 0.55, 0.55), (0.5, 0.5, 0.54, 0.54)), (40, 64))
    np.testing.assert_array_equal(found[0, :, 0, 20, 32], [False, True])
    np.testing.assert_array_equal(found[0, :, 0, 20, 33], [True, False])


def test_the_nearer_of_two_boxes_far_away_is_heard():
    """By half a cell, of 900; the other one is smaller."""
    found = sources_in_boxes(mosaic((0.8995, 0, 1, 1), (0.9, 0.4, 0.95, 0.6)), (1, 1000))
    np.testing.assert_array_equal(found[0, :, 0, 0, 0], [True, False])


@pytest.mark.parametrize("outside", ["nearest", "null"])
def test_rows_hear_their_own_active_sources_and_none_without_any(outside):
    """The boxes differ between rows. A row without active sources hears nothing, anywhere."""
    given = mosaic((0, 0, 0.5, 1), (0.5, 0, 1, 1), rows=3, outside=outside)
    boxes = given.boxes.copy()
    boxes[1] = boxes[1, ::-1]
    active = np.array([[True, True], [True, True], [False, False]])
    found = np.asarray(sources_in_boxes(dataclasses.replace(given, boxes=boxes, active=active), (5, 8)))
    np.testing.assert_array_equal(found[0, 0], found[1, 1])
    assert found[0, 0, 0, :, :4].all()
    assert found[0, 1, 0, :, 4:].all()
    np.testing.assert_array_equal(found[:2].sum(1), 1)
    assert not found[2].any()


@pytest.mark.parametrize("of_sources", [pulls, outside_all], ids=["pulls", "outside_all"])
@pytest.mark.parametrize("silent", ["active", "background"])
def test_sources_that_are_not_drawn_change_nothing_for_the_others(of_sources, silent):
    """Their boxes overlap; the first source is not heard by the row, or is its background."""
    box = (0.2, 0.2, 1, 1)
    both = dataclasses.replace(
        mosaic((0, 0, 0.6, 0.6), box), **{silent: np.array([[silent == "background", silent == "active"]])}
    )
    found = np.asarray(of_sources(both, (5, 8)))
    np.testing.assert_array_equal(found[:, 1], np.asarray(of_sources(mosaic(box), (5, 8)))[:, 0])
    assert found[:, 1].any()
    assert not found[:, 0].any()
