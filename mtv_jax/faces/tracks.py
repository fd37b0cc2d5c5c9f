"""Faces in a picture, and the same face over the frames of a clip."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtv_jax.io.errors import UserError

LANDMARKS = ("left eye", "right eye", "nose", "left corner of the mouth", "right corner of the mouth")
"""Of a face, left and right as the viewer sees them."""


@dataclass(frozen=True)
class Face:
    """A face.

    Attributes:
      box: [4], x0, y0, x1, y1, pixels.
      landmarks: [5, 2], x and y of `LANDMARKS`, pixels; None if the detector finds none.
      score: how sure the detector is, 0 to 1.
    """

    box: np.ndarray
    landmarks: np.ndarray | None
    score: float

    @property
    def size(self) -> float:
        """Geometric mean of width and height, pixels."""
        width, height = self.box[2:] - self.box[:2]
        return float(np.sqrt(max(width, 0) * max(height, 0)))

    @property
    def centre(self) -> np.ndarray:
        """Of the box, [2]."""
        return (self.box[:2] + self.box[2:]) / 2


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray | np.floating:
    """Intersection over union of boxes [..., 4] with boxes [..., 4]."""
    inside = _inside(a, b)
    return inside / np.maximum(_area(a) + _area(b) - inside, 1e-9)


def overlap_of_smaller(a: np.ndarray, b: np.ndarray) -> np.ndarray | np.floating:
    """Intersection of boxes [..., 4], as a share of the smaller one."""
    return _inside(a, b) / np.maximum(np.minimum(_area(a), _area(b)), 1e-9)


def _inside(a: np.ndarray, b: np.ndarray) -> np.ndarray | np.floating:
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    return np.maximum(high - low, 0).prod(-1)


def _area(boxes: np.ndarray) -> np.ndarray | np.floating:
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(-1)


@dataclass(frozen=True)
class Track:
    """One person's face over a clip: `faces[i]` is in the sampled frame `frames[i]`."""

    frames: tuple[int, ...]
    faces: tuple[Face, ...]

    @property
    def box(self) -> np.ndarray:
        """Median box, [4]."""
        return np.median([face.box for face in self.faces], axis=0)


SAMPLED_FPS = 5.0
"""Frames a second that are searched for people."""
MAX_GAP = 1.0
"""Seconds that a face may be missing (turned away, hidden) and still be the same track."""
MIN_SEEN = 0.5
"""Seconds that a track has to be seen: false alarms of the detector are shorter."""
MIN_OVERLAP, MAX_DISTANCE, MAX_GROWTH = 0.3, 2.5, 1.5
"""Two faces in neighbouring frames are the same one if their boxes overlap, or, when somebody moves quickly, if their
centres are no farther apart than `MAX_DISTANCE` faces a second allow, and neither is much larger."""
SHARE_OF_FRAMES = 0.1
"""Of the sampled frames, in which so many people have to be seen at once."""


def link(found: Sequence[Iterable[Face]], fps: float = SAMPLED_FPS) -> list[Track]:
    """Tracks of the faces of each sampled frame, in the order in which they appear, without the short ones."""
    begun: list[tuple[list[int], list[Face]]] = []
    for number, faces in enumerate(found):
        recent = [track for track in begun if number - track[0][-1] <= max(1, MAX_GAP * fps)]
        left = list(faces)
        new = set(range(len(left)))
        for t, f in _pairs([(track[1][-1], (number - track[0][-1]) / fps) for track in recent], left):
            recent[t][0].append(number)
            recent[t][1].append(left[f])
            new.discard(f)
        begun += [([number], [left[f]]) for f in sorted(new)]
    least = min(max(2, round(MIN_SEEN * fps)), len(found))
    return [Track(tuple(frames), tuple(faces)) for frames, faces in begun if len(frames) >= least]


def _pairs(last: Sequence[tuple[Face, float]], faces: Sequence[Face]) -> Iterator[tuple[int, int]]:
    """Which of the tracks' last faces (and how many seconds ago it was seen) is which face now; the best fit first."""
    likely = [
        (_likeness(before, face, seconds), t, f)
        for t, (before, seconds) in enumerate(last)
        for f, face in enumerate(faces)
    ]
    tracks, taken = set(), set()
    for likeness, t, f in sorted(likely, key=lambda pair: -pair[0]):
        if likeness > 0 and t not in tracks and f not in taken:
            tracks.add(t)
            taken.add(f)
            yield t, f


def _likeness(before: Face, after: Face, seconds: float) -> float:
    """0 if they cannot be the same face; more the better they fit."""
    shared = float(overlap(before.box, after.box))
    if shared >= MIN_OVERLAP:
        return 1 + shared
    size = max(before.size, after.size)
    growth = size / max(min(before.size, after.size), 1e-9)
    distance = float(np.linalg.norm(before.centre - after.centre)) / max(size, 1e-9)
    reach = MAX_DISTANCE * seconds
    return max(0.0, 1 - distance / reach) if growth <= MAX_GROWTH else 0.0


def count_people(tracks: Sequence[Track], frames: int) -> int:
    """How many are seen at once: the largest number that a tenth of the sampled frames, or more, reach.

    A face that is not found for a while counts as long as its track goes on. Somebody in the background for a moment
    does not make a clip of one person one of several; nor does a person who leaves the picture at its end make it one
    of none.
    """
    present = np.zeros(frames, int)
    for track in tracks:
        present[track.frames[0] : track.frames[-1] + 1] += 1
    return int(np.sort(present)[::-1][max(0, int(np.ceil(SHARE_OF_FRAMES * frames)) - 1)]) if frames else 0


def to_json(face: Face, width: float, height: float) -> dict[str, Any]:
    """A face of a picture of that size, in shares of its width and height."""
    size = np.array([width, height])
    landmarks = None if face.landmarks is None else (face.landmarks / size).round(4).tolist()
    box = (face.box / np.tile(size, 2)).round(4).tolist()
    return {"box": box, "score": round(face.score, 4), "landmarks": landmarks}


def from_json(fields: Mapping[str, Any], width: float = 1.0, height: float = 1.0) -> Face:
    """The inverse of `to_json`. Raises UserError if `fields` are not those of a face."""
    try:
        box = np.array(fields["box"], float).reshape(4) * (width, height, width, height)
        points = fields.get("landmarks")
        landmarks = None if points is None else np.array(points, float).reshape(5, 2) * (width, height)
        return Face(box, landmarks, float(fields.get("score", 1.0)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'a person is {fields!r}; needed is {{"box": [x0, y0, x1, y1], "score": 0..1, "landmarks": null or '
            "five [x, y]}, in shares of the picture"
        ) from error


def track_to_json(track: Track) -> dict[str, Any]:
    """A track of faces in shares of the picture."""
    return {"frames": list(track.frames), "faces": [to_json(face, 1, 1) for face in track.faces]}


def track_from_json(fields: Mapping[str, Any], width: float = 1.0, height: float = 1.0) -> Track:
    """The inverse of `track_to_json`, for a picture of that size."""
    faces = tuple(from_json(face, width, height) for face in fields["faces"])
    return Track(tuple(fields["frames"]), faces)
