"""How much a picture moves: the optical flow between frames. Needs OpenCV."""

import itertools
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from mtv_jax.io.errors import UserError


def mean_flow(frames: UInt8[np.ndarray, "F H W 3"]) -> Float[np.ndarray, "f"]:
    """Mean length of Farneback's optical flow from each frame to the next, pixels: F - 1 values.

    Raises UserError if OpenCV is not installed.
    """
    flows = (flow(before, after) for before, after in itertools.pairwise(frames))
    return np.array([float(np.linalg.norm(field, axis=-1).mean()) for field in flows])


def flow(before: UInt8[np.ndarray, "H W 3"], after: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W 2"]:
    """Farneback's optical flow on grey pictures: how far each pixel of `before` moves right and down, pixels.

    The options are those of TempoTokens' `av_align.py`. Raises UserError if OpenCV is not installed.
    """
    cv2 = optical_flow()
    grey = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after))
    return cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 15, 3, 5, 1.2, 0)


def optical_flow() -> Any:
    """OpenCV. Raises UserError if it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise UserError("optical flow needs OpenCV: pip install 'mtv_jax[eval]'") from error
    return cv2
