"""Metrics of the picture alone that need no network."""

from collections.abc import Callable

import numpy as np

from mtv_jax.evaluation.metrics.flicker import flicker
from mtv_jax.evaluation.metrics.motion import mean_motion
from mtv_jax.evaluation.metrics.warping import warping_error
from mtv_jax.evaluation.videos.metric import Measure, Weights
from mtv_jax.io.motion import optical_flow


def open_flicker(_: Weights) -> Measure:
    """Temporal flickering."""
    return _of_frames("flicker_vbench", flicker)


def open_motion(_: Weights) -> Measure:
    """Mean optical flow. Raises UserError if OpenCV is not installed."""
    return _of_frames("motion_farneback", mean_motion, opencv=optical_flow().__version__)


def open_warping(_: Weights) -> Measure:
    """Warping error. Raises UserError if OpenCV is not installed."""
    return _of_frames("warping_farneback", warping_error, opencv=optical_flow().__version__)


def _of_frames(variant: str, score: Callable[[np.ndarray], float], **facts: str) -> Measure:
    return Measure(variant, lambda clip: {"score": score(clip.frames)}, {"fps": "the video's own", **facts})
