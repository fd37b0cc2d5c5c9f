"""Faces for SyncNet: found in every frame, followed by overlap, and cut out with smooth motion.

The numbers are those of `run_pipeline.py` of joonson/syncnet_python. What differs: the detector is passed in (theirs is
S3FD), faces of any size and tracks of any length are kept, of several boxes that overlap a track the nearest goes on,
and crops are not encoded as a video in between.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from mtv_jax.faces.mtcnn import reduced
from mtv_jax.faces.tracks import Face, overlap
from mtv_jax.io.motion import optical_flow

MOST_MISSED = 25
"""Frames that a face may be missing and still be the same track."""
LEAST_OVERLAP = 0.5
"""Intersection over union of a track's last box and the next one, which has to be more."""
KERNEL = 13
"""Frames of the running median of a face's place and size."""
MARGIN = 0.4
"""Around a face, as a share of half its size: once on each side, twice below."""
SIZE = 224
"""Height and width of a crop, pixels."""
_GREY = 110
"""Beyond the edges of the picture."""


@runtime_checkable
class FaceDetector(Protocol):
    """Finds faces, such as `mtcnn.MTCNN`."""

    def find(self, picture: UInt8[np.ndarray, "H W 3"]) -> list[Face]:
        """The faces in an RGB picture."""
        ...


@dataclass(frozen=True)
class BoxTrack:
    """A face in every frame from `start` on: `boxes` [n, 4] are x0, y0, x1, y1 in pixels."""

    start: int
    boxes: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


def find_boxes(picture: UInt8[np.ndarray, "H W 3"], detector: FaceDetector) -> Float[np.ndarray, "n 4"]:
    """The boxes of the faces in a picture, pixels; the detector gets it at `mtcnn.reduced` size."""
    small = reduced(picture)
    boxes = [face.box for face in detector.find(small)]
    return (
        np.array(boxes, float).reshape(-1, 4)
        * np.tile(picture.shape[1::-1], 2)
        / np.tile(small.shape[1::-1], 2)
    )


def follow(found: Sequence[Float[np.ndarray, "_ 4"]], cuts: Sequence[int] = ()) -> list[BoxTrack]:
    """The tracks of the boxes in each frame, in the order in which they begin; gaps are filled in linearly.

    Beginning with the first box that is left, a track takes from each frame the box that overlaps its last one most, if
    by more than `LEAST_OVERLAP`, and ends when more than `MOST_MISSED` - 1 frames have none, and at the next of `cuts`,
    the first frames of further shots (`cuts.find_cuts`).
    """
    tracks = []
    for start, end in itertools.pairwise([0, *cuts, len(found)]):
        tracks += _follow_shot(found[start:end], start)
    return tracks


def _follow_shot(found: Sequence[Float[np.ndarray, "_ 4"]], start: int) -> list[BoxTrack]:
    """The tracks of a shot whose first frame is `start`."""
    left = [list(boxes) for boxes in found]
    tracks = []
    for first in range(len(left)):
        while left[first]:
            frames, boxes = [first], [left[first].pop(0)]
            for number in range(first + 1, len(left)):
                if number - frames[-1] > MOST_MISSED:
                    break
                best = _next(boxes[-1], left[number])
                if best is not None:
                    frames.append(number)
                    boxes.append(left[number].pop(best))
            tracks.append(BoxTrack(start + first, _filled(frames, np.array(boxes))))
    return tracks


def smooth_places(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 3"]:
    """Centre x, centre y and half the longer side of a track's boxes, each as its running median of `KERNEL` frames.

    Zeros stand beyond both ends.
    """
    from scipy.ndimage import median_filter  # here, since importing it takes half a second

    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(1) / 2
    return np.stack([median_filter(values, KERNEL, mode="constant") for values in (*centres.T, half)], axis=1)


def crop_face(
    picture: UInt8[np.ndarray, "H W 3"], place: Float[np.ndarray, "3"]
) -> UInt8[np.ndarray, "224 224 3"]:
    """A face with its margin, resized bilinearly to 224 x 224; grey beyond the picture's edges.

    `place` is a row of `smooth_places`. The crop reaches from half the face's size above its centre to 1.8 times that
    below, and 1.4 times that to both sides.
    """
    x, y, half = place
    border = int(half * (1 + 2 * MARGIN))
    padded = np.pad(picture, ((border, border), (border, border), (0, 0)), constant_values=_GREY)
    x, y = x + border, y + border
    top, bottom = int(y - half), int(y + half * (1 + 2 * MARGIN))
    left, right = int(x - half * (1 + MARGIN)), int(x + half * (1 + MARGIN))
    cv2 = optical_flow()
    return cv2.resize(padded[top:bottom, left:right], (SIZE, SIZE))


def crops(frames: UInt8[np.ndarray, "F H W 3"], track: BoxTrack) -> UInt8[np.ndarray, "n 224 224 3"]:
    """The face of a track in each of its frames; `frames` are those of the whole clip."""
    places = smooth_places(track.boxes)
    pictures = frames[track.start : track.start + len(track)]
    return np.stack([crop_face(picture, place) for picture, place in zip(pictures, places, strict=True)])


def _next(box: np.ndarray, boxes: Sequence[np.ndarray]) -> int | None:
    """Which of the boxes continues a track; None if none does."""
    if not boxes:
        return None
    shared = np.asarray(overlap(box, np.array(boxes)))
    best = int(shared.argmax())
    return best if shared[best] > LEAST_OVERLAP else None


def _filled(frames: Sequence[int], boxes: np.ndarray) -> np.ndarray:
    every = np.arange(frames[0], frames[-1] + 1)
    return np.stack([np.interp(every, frames, column) for column in boxes.T], axis=1)
