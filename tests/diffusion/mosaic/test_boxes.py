"""Boxes: what cells they cover, their Gaussians, and how they move."""

import json

import jax
import numpy as np
import pytest
from golden_folders import ORIGINALS

from mtv_jax.diffusion.mosaic import boxes as module
from mtv_jax.diffusion.mosaic.boxes import boxes_of_frames, check_box
from mtv_jax.diffusion.mosaic.options import HALVES, LAYOUTS
from mtv_jax.io.errors import UserError

inside = jax.jit(module.inside, static_argnums=(1, 2))
distances = jax.jit(module.distances, static_argnums=1)
gaussians = jax.jit(module.gaussians, static_argnums=(1, 2, 3))
GRIDS = [(40, 64), (20, 32), (10, 16), (5, 8)]
"""Of VideoCrafter2's cross-attentions at 320x512."""


def cells(box, grid):
    """The cells of a box as the released code rounds them, in Python's float64."""
    left, top, right, bottom = box
    rows, columns = grid
    out = np.zeros(grid, bool)
    ends = slice(int((top + 0.01) * rows), int((bottom - 0.01) * rows))
    out[ends, int((left + 0.01) * columns) : int((right - 0.01) * columns)] = True
    return out


@pytest.mark.parametrize("grid", GRIDS)
def test_boxes_round_as_the_released_code_has_it(grid):
    rng = np.random.default_rng(0)
    low, size = rng.uniform(0, 0.5, (20, 2)), rng.uniform(0.45, 0.5, (20, 2))
    boxes = np.concatenate([low, low + size], 1).tolist()
    boxes += [box for layout in ("LR", "TD") for box in LAYOUTS[layout]]
    found = inside(np.float32(boxes), grid, 0.01)
    np.testing.assert_array_equal(found, [cells(box, grid) for box in boxes])


def test_every_box_keeps_a_cell_of_the_coarsest_grid():
    corners = np.random.default_rng(1).uniform(0, 0.999, (24, 2))
    corners[:2] = [(0, 0), (0.999, 0.999)]
    boxes = np.float32(np.concatenate([corners, corners + 0.001], 1))
    found = np.asarray(inside(boxes, GRIDS[-1], 0.01))
    np.testing.assert_array_equal(found.sum((1, 2)), 1)
    assert found[0, 0, 0]
    assert found[1, -1, -1]


def test_a_side_that_float32_puts_below_a_whole_cell_counts_as_whole():
    grid = (100, 100)
    boxes = np.float32([(i / 100, 0, 1, 1) for i in range(1, 90)])
    first = np.asarray(inside(boxes, grid, 0.01)).argmax(2)[:, 50]
    np.testing.assert_array_equal(first, np.arange(1, 90) + 1)
    boxes = np.float32([(0, 0, i / 100, 1) for i in range(10, 101)])
    covered = np.asarray(inside(boxes, grid, 0.01))[:, 50].sum(1)
    np.testing.assert_array_equal(covered, np.arange(10, 101) - 2)


def test_gaussians_peak_at_one_fill_their_box_and_are_zero_outside():
    one_cell = (0.5, 0.5, 0.51, 0.51)
    boxes = np.float32([LAYOUTS["LR"][0], (0.1, 0.2, 0.9, 0.6), one_cell])
    for kernel in ("centred", "released"):
        found = np.asarray(gaussians(boxes, (10, 16), 0.01, kernel))
        np.testing.assert_array_equal(found > 0, inside(boxes, (10, 16), 0.01))
        np.testing.assert_allclose(found.max((1, 2)), 1, atol=1e-6)


def test_centred_gaussians_have_a_third_of_the_side_as_deviation_and_are_symmetric():
    left, right = np.asarray(gaussians(np.float32(LAYOUTS["LR"]), (40, 64), 0.0, "centred"))
    np.testing.assert_allclose(left, right[:, ::-1], atol=1e-6)
    profile = left[20, :32] / left[20, 15]
    offsets = np.arange(32) - 15.5
    np.testing.assert_allclose(profile, np.exp((0.25 - offsets**2) / (2 * (32 / 3) ** 2)), rtol=1e-4)


def test_the_released_gaussian_is_that_of_the_golden():
    with np.load(ORIGINALS / "maestro_region" / "io.npz") as file:
        name = next(key for key in file if key.startswith("gaussian_"))
        expected = file[name]
    whole = np.float32([(0, 0, 1, 1)])
    np.testing.assert_allclose(gaussians(whole, expected.shape, 0.0, "released")[0], expected, atol=1e-6)


def test_keyframed_boxes_are_those_of_the_golden():
    bundles = json.loads((ORIGINALS / "maestro_region" / "config.json").read_text())["keyframed_bbox"]
    assert bundles
    for bundle in bundles:
        first, last = (keyframe["bbox_ratios"] for keyframe in bundle["keyframe"])
        expected = bundle["bbox_per_frame"]
        found = boxes_of_frames([(0.0, first), (1.0, last)], np.linspace(0, 1, len(expected)))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_boxes_stand_still_outside_their_keyframes_and_pass_each_of_them():
    a, b, c = (0, 0, 0.2, 0.2), (0.4, 0, 0.6, 0.2), (0.4, 0.8, 0.6, 1)
    found = boxes_of_frames([(0.25, a), (0.5, b), (0.75, c)], np.linspace(0, 1, 9))
    np.testing.assert_allclose(found[[0, 1, 2]], [a] * 3, atol=1e-6)
    np.testing.assert_allclose(found[[3, 4, 6, 7, 8]], [(0.2, 0, 0.4, 0.2), b, c, c, c], atol=1e-6)
    np.testing.assert_allclose(boxes_of_frames([(0.0, a)], np.zeros(1)), [a], atol=1e-6)


def test_distances_are_in_cells_and_zero_inside():
    found = np.asarray(distances(np.float32([(0.25, 0.5, 0.5, 1)]), (4, 8)))[0]
    np.testing.assert_array_equal(found[2:, 2:4], 0)
    assert found[2, 4] == 0.5
    assert found[1, 1] == pytest.approx(np.hypot(0.5, 0.5))


@pytest.mark.parametrize("layout", ["LR", "TD"])
def test_halves_cover_the_frame_once(layout):
    np.testing.assert_array_equal(np.asarray(inside(np.float32(HALVES[layout]), (5, 8), 0.0)).sum(0), 1)


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ((0, 0, 1), "3 numbers"),
        ((0, 0, 1.2, 1), "outside"),
        ((-0.1, 0, 1, 1), "outside"),
        ((0, 0, float("nan"), 1), "outside"),
        ((0.5, 0, 0.5, 1), "empty"),
        ((0, 0.6, 1, 0.5), "empty"),
    ],
)
def test_bad_boxes_are_refused_in_one_line(box, why):
    with pytest.raises(UserError, match=why) as found:
        check_box(box)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("times", [[], [0.5, 0.5], [0.6, 0.2], [-0.1, 1], [0, float("inf")]])
def test_bad_keyframes_are_refused(times):
    with pytest.raises(UserError, match="rising times"):
        boxes_of_frames([(time, (0, 0, 1, 1)) for time in times], np.zeros(4))
