"""Flicker: how little neighbouring frames differ, pixel by pixel (VBench's `temporal_flickering`).

VBench leaves out static videos, which score 1; here the mean optical flow (`metrics/motion.py`) stands beside it.
"""

import itertools

import numpy as np

from mtv_jax.evaluation.metrics.scores import mean_score
from mtv_jax.io.errors import UserError
from mtv_jax.typing import UInt8


def flicker(frames: UInt8[np.ndarray, "F H W 3"]) -> float:
    """`(255 - d) / 255`, where d is the mean absolute difference of neighbouring frames: 1 if nothing changes.

    Raises UserError for fewer than two frames.
    """
    if len(frames) < 2:
        raise UserError(f"video of {len(frames)} frames: flicker compares neighbours, so it needs at least 2")
    pairs = itertools.pairwise(frame.astype(np.int16) for frame in frames)
    return 1 - float(np.mean([np.abs(after - before).mean() for before, after in pairs])) / 255


FLICKER = mean_score("flicker.score")
"""The mean score of videos."""
