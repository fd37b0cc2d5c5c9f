"""How much a picture moves: the optical flow between frames. Needs OpenCV."""

import itertools
from typing import Any

import numpy as np

from mtv_jax.io.errors import UserError


def mean_flow(frames: np.ndarray) -> np.ndarray:
    """Mean length of Farneback's optical flow from each frame to the next, pixels: uint8 [F H W 3] to [F - 1].

    The options of the flow are those of TempoTokens' `av_align.py`. Raises UserError if OpenCV is not installed.
    """
    cv2 = optical_flow()
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    values = []
    for before, after in itertools.pairwise(grey):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        values.append(float(np.linalg.norm(flow, axis=-1).mean()))
    return np.array(values)


def optical_flow() -> Any:
    """OpenCV. Raises UserError if it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise UserError("optical flow needs OpenCV: pip install 'mtv_jax[eval]'") from error
    return cv2
