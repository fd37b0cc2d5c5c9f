"""Motion: how much the picture moves, by the mean optical flow. A frozen video is faultless by many other metrics."""

import numpy as np

from mtv_jax.evaluation.metrics.scores import mean_score
from mtv_jax.io.errors import UserError
from mtv_jax.io.motion import mean_flow
from mtv_jax.typing import UInt8


def mean_motion(frames: UInt8[np.ndarray, "F H W 3"]) -> float:
    """The mean length of Farneback's flow over all pixels and pairs of neighbouring frames, pixels a frame.

    Only videos of one size and rate are comparable. Raises UserError for fewer than two frames, and if OpenCV is not
    installed.
    """
    if len(frames) < 2:
        raise UserError(
            f"video of {len(frames)} frames: motion is between neighbours, so it needs at least 2"
        )
    return float(mean_flow(frames).mean())


MOTION = mean_score("motion.flow")
"""The mean over videos."""
