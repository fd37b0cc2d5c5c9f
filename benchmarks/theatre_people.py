"""The people of the theatre as a person detector finds them: networks for faces see nobody in its drawn heads."""

from typing import Any

import numpy as np

from mtv_jax.faces.tracks import SAMPLED_FPS, Face, to_json
from mtv_jax.theatre import TheatreClip

_LANDMARKS = np.array([[-0.42, -0.1], [0.42, -0.1], [0, 0.2], [-0.56, 0.42], [0.56, 0.42]])
"""In halves of a head's width and height from its middle (`mtv_jax/theatre/actors.py`)."""
_ERROR = 0.01
"""Standard deviation of what is found, in heads: about that of MTCNN."""


def theatre_people(clip: TheatreClip) -> list[list[dict[str, Any]]]:
    """The answer of a `PersonDetector`: where the heads are, with the error of a detector."""
    rng = np.random.default_rng(clip.plan.index)
    num_frames, height, width = clip.frames.shape[:3]
    frames = np.arange(0, num_frames, float(clip.plan.config.fps) / SAMPLED_FPS).astype(int)
    return [
        [to_json(_face(heads[frame], rng), width, height) for heads in clip.truth.head_boxes]
        for frame in frames
    ]


def _face(box: np.ndarray, rng: np.random.Generator) -> Face:
    half, centre = (box[2:] - box[:2]) / 2, (box[:2] + box[2:]) / 2
    landmarks = centre + half * (_LANDMARKS + _ERROR * rng.standard_normal((5, 2)))
    return Face(box + np.tile(half, 2) * _ERROR * rng.standard_normal(4), landmarks, 1.0)
