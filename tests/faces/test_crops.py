"""Faces for SyncNet: followed by overlap, smoothed, and cut out as the original does."""

import numpy as np
import pytest

from mtv_jax.faces.crops import BoxTrack, crop_face, crops, find_boxes, follow, smooth_places
from mtv_jax.faces.tracks import Face

BOX = np.array([10.0, 20, 50, 60])
OTHER = BOX + 100


def test_faces_are_followed_by_overlap():
    """A face that moves 8 of its 40 pixels a frame overlaps itself by two thirds, one that moves 20 by a third."""
    step = np.array([8.0, 0, 8, 0])
    slow = follow([np.stack([BOX + number * step, OTHER]) for number in range(4)])
    assert [(track.start, len(track)) for track in slow] == [(0, 4), (0, 4)]
    np.testing.assert_array_equal(slow[0].boxes[3], BOX + 3 * step)
    fast = follow([BOX[None] + number * 2.5 * step for number in range(4)])
    assert [len(track) for track in fast] == [1, 1, 1, 1]


def test_the_box_that_overlaps_most_goes_on():
    found = follow([BOX[None], np.stack([BOX + np.array([9, 0, 9, 0]), BOX + np.array([1, 0, 1, 0])])])
    assert [len(track) for track in found] == [2, 1]
    assert found[0].boxes[1][0] == 11


def test_gaps_are_filled_in_linearly_up_to_their_limit():
    nothing = np.zeros((0, 4))
    end = BOX + np.array([8, 4, 8, 4])
    (track,) = follow([nothing, BOX[None], *[nothing] * 24, end[None]])
    assert (track.start, len(track)) == (1, 26)
    np.testing.assert_allclose(track.boxes, BOX + np.linspace(0, 1, 26)[:, None] * (end - BOX))
    assert [len(found) for found in follow([BOX[None], *[nothing] * 25, end[None]])] == [1, 1]


def test_a_track_ends_at_a_cut():
    found = follow([BOX[None], np.zeros((0, 4)), *[BOX[None]] * 3], cuts=[1, 3])
    assert [(track.start, len(track)) for track in found] == [(0, 1), (2, 1), (3, 2)]


def test_places_are_medians_of_thirteen_frames():
    boxes = np.tile(BOX, (30, 1))
    boxes[12] = [90, 90, 200, 120]
    boxes[20:, [0, 2]] += 30
    places = smooth_places(boxes)
    np.testing.assert_array_equal(places[:, 1:], np.tile([40.0, 20], (30, 1)))
    np.testing.assert_array_equal(places[:, 0], [30] * 20 + [60] * 10)


def test_half_the_longer_side_is_the_size():
    assert smooth_places(np.tile([0.0, 0, 40, 80], (13, 1)))[6, 2] == 40


def test_a_crop_reaches_farther_below_and_is_grey_beyond_the_picture():
    cv2 = pytest.importorskip("cv2")
    picture = np.random.default_rng(0).integers(0, 100, (200, 300, 3), np.uint8)
    inside = crop_face(picture, np.array([150.0, 90, 40]))
    np.testing.assert_array_equal(inside, cv2.resize(picture[50:162, 94:206], (224, 224)))
    corner = crop_face(picture, np.array([20.0, 10, 40]))
    assert np.all(corner[:50] == 110)
    assert np.all(corner[:, :60] == 110)
    assert corner[80:, 100:].max() < 110


def test_crops_are_of_the_frames_of_the_track():
    pytest.importorskip("cv2")
    frames = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 80, 80, 3), np.uint8)
    found = crops(frames, BoxTrack(4, np.tile(BOX, (14, 1))))
    assert found.shape == (14, 224, 224, 3)
    np.testing.assert_array_equal(found[:, 100, 100, 0], range(4, 18))


class Small:
    """Notes the size of the picture, and finds a face in its upper left quarter."""

    def find(self, picture):
        self.seen = picture.shape[:2]
        height, width = self.seen
        return [Face(np.array([0, 0, width / 2, height / 2]), None, 1.0)]


def test_large_pictures_are_reduced_for_the_detector_alone():
    detector = Small()
    np.testing.assert_allclose(find_boxes(np.zeros((720, 1280, 3), np.uint8), detector), [[0, 0, 640, 360]])
    assert detector.seen == (360, 640)
    find_boxes(np.zeros((100, 200, 3), np.uint8), detector)
    assert detector.seen == (100, 200)
