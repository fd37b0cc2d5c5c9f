"""Static clips: how much of a picture moves, whatever its size."""

from pathlib import Path

import numpy as np
from PIL import Image

from mtv_jax.curation.roles import Evidence, scores
from mtv_jax.io.motion import mean_flow
from mtv_jax.io.video import read_video
from mtv_jax.typing import UInt8

MOTION_FPS = 2
"""Frames a second that are compared: slow movements are larger than noise after half a second."""

_WIDTH = 256
"""Width that pictures are reduced to; averaging also removes most of the noise of a sensor or codec."""


def motion_scores(clip: Path) -> Evidence:
    """The score `flow` of a video file (`mean_motion`)."""
    frames, _ = read_video(clip, fps=MOTION_FPS)
    return scores(flow=mean_motion(frames))


def mean_motion(frames: UInt8[np.ndarray, "F H W 3"]) -> float:
    """Mean optical flow between frames at `MOTION_FPS`, in percent of the picture's width; 0 for a single frame.

    A photograph scores below 0.01, a talking head before a fixed camera about 0.5. Raises UserError if OpenCV is not
    installed.
    """
    if len(frames) < 2:
        return 0.0
    small = np.stack([_reduced(frame) for frame in frames])
    return float(mean_flow(small).mean()) / small.shape[2] * 100


def _reduced(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    size = (_WIDTH, max(16, round(height * _WIDTH / width)))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))
