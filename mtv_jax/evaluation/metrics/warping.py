"""Warping error: how much the next frame differs from this one after its motion is undone (Lai et al., ECCV 2018).

The next frame is warped back along the optical flow. Pixels are compared where they are visible in both frames: the
flow there stays in the picture, and the flow back leads to where it began (Sundaram et al., ECCV 2010). Lai et al.
leave out motion boundaries too, and have the flow of FlowNet2; here it is Farneback's, so that only our own figures
are comparable.
"""

import itertools

import numpy as np

from mtv_jax.evaluation.metrics.scores import mean_score
from mtv_jax.io.errors import UserError
from mtv_jax.io.motion import flow, optical_flow
from mtv_jax.typing import Bool, Float, UInt8

_RELATIVE, _ABSOLUTE = 0.01, 0.5
"""Of the squared distance from where the flow back ends: a share of the squared flows, and pixels squared."""


def warping_error(frames: UInt8[np.ndarray, "F H W 3"]) -> float:
    """The mean squared difference of visible pixels of neighbouring frames, in units of full scale: 0 is best.

    Pairs of which no pixel is visible in both, such as those at a cut, do not count. Raises UserError for fewer than
    two frames, if no pair counts, and if OpenCV is not installed.
    """
    if len(frames) < 2:
        raise UserError(f"video of {len(frames)} frames: warping compares neighbours, so it needs at least 2")
    errors = [pair_error(before, after) for before, after in itertools.pairwise(frames)]
    counted = [error for error in errors if error is not None]
    if not counted:
        raise UserError("video: no pixel of a frame is found again in the next one")
    return float(np.mean(counted))


def pair_error(before: UInt8[np.ndarray, "H W 3"], after: UInt8[np.ndarray, "H W 3"]) -> float | None:
    """The error of two frames; None if no pixel is visible in both."""
    forward, backward = flow(before, after), flow(after, before)
    seen = visible(forward, backward)
    if not seen.any():
        return None
    warped = sample(after.astype(np.float32) / 255, forward)
    return float(np.square(warped - before.astype(np.float32) / 255)[seen].mean())


def visible(
    forward: Float[np.ndarray, "H W 2"], backward: Float[np.ndarray, "H W 2"]
) -> Bool[np.ndarray, "H W"]:
    """Pixels of the first frame that are in the second one, and from which the flow back returns."""
    height, width = forward.shape[:2]
    x, y = np.moveaxis(_positions(forward), -1, 0)
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    back = sample(backward, forward)
    distance = np.square(forward + back).sum(-1)
    limit = _RELATIVE * (np.square(forward).sum(-1) + np.square(back).sum(-1)) + _ABSOLUTE
    return inside & (distance <= limit)


def sample(
    picture: Float[np.ndarray, "H W c"], displacement: Float[np.ndarray, "H W 2"]
) -> Float[np.ndarray, "H W c"]:
    """The picture at each pixel's displaced position, bilinearly; beyond its edge the edge goes on."""
    cv2 = optical_flow()
    return cv2.remap(
        picture, _positions(displacement), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _positions(displacement: Float[np.ndarray, "H W 2"]) -> Float[np.ndarray, "H W 2"]:
    """Where each pixel ends: x, y."""
    height, width = displacement.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    return (grid + displacement).astype(np.float32)


WARPING = mean_score("warping.error")
"""The mean over videos."""
