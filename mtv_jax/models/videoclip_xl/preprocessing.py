"""From frames to VideoCLIP-XL's input, as in its `demo.py`."""

import numpy as np
from jaxtyping import Float, UInt8

from mtv_jax.io.errors import UserError
from mtv_jax.io.motion import optical_flow
from mtv_jax.models.clip.preprocessing import normalise

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of the red, green and blue of ImageNet's pictures, whose range is 0 to 1. VideoCLIP-XL does not use CLIP's."""


def video_pixels(
    frames: UInt8[np.ndarray, "F H W 3"], num_frames: int = 8, size: int = 224
) -> Float[np.ndarray, "f S S 3"]:
    """RGB frames of a video as VideoCLIP-XL takes them: chosen, squashed to a square, normalised to float32.

    Raises UserError without any frame, and if OpenCV is not installed.
    """
    return normalise(
        squash(frames[choose_frames(len(frames), num_frames)], size), IMAGENET_MEAN, IMAGENET_STD
    )


def choose_frames(length: int, num_frames: int) -> list[int]:
    """Indices of the frames that are seen: every `length // num_frames`-th, the first `num_frames` of those.

    The original fails for a video shorter than `num_frames`. Here its frames are repeated evenly: 0 0 1 1 2 2 3 3 of
    four. Raises UserError for no frames.
    """
    if length < 1:
        raise UserError("video without frames: cannot be compared with a text")
    if length < num_frames:
        return [i * length // num_frames for i in range(num_frames)]
    return list(range(0, length, length // num_frames))[:num_frames]


def squash(frames: UInt8[np.ndarray, "F H W 3"], size: int) -> UInt8[np.ndarray, "F S S 3"]:
    """Resizes to a square whatever the aspect ratio, by OpenCV's bilinear interpolation, which skips pixels."""
    cv2 = optical_flow()
    resized = [cv2.resize(frame, (size, size), interpolation=cv2.INTER_LINEAR) for frame in frames]
    return np.stack(resized)
