"""From frames to CLIP's input: short side, centre crop and normalisation of transformers' `CLIPImageProcessorPil`."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from mtv_jax.io.errors import UserError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the red, green and blue of OpenAI's training pictures, whose range is 0 to 1."""


def clip_pixels(frames: UInt8[np.ndarray, "F H W 3"], size: int = 224) -> Float[np.ndarray, "F S S 3"]:
    """Frames as CLIP takes them: short side resized to `size`, the centre cut out, normalised to float32."""
    return normalise(centre_crop(resize_short_side(frames, size), size), CLIP_MEAN, CLIP_STD)


def resize_short_side(frames: UInt8[np.ndarray, "F H W 3"], size: int) -> UInt8[np.ndarray, "F h w 3"]:
    """Resizes by PIL's bicubic filter so that the short side is `size`; the long side is rounded down."""
    height, width = frames.shape[1:3]
    short = min(height, width)
    if short == 0:
        raise UserError(f"frames of {width} x {height} pixels: must have at least one")
    sides = (int(size * width / short), int(size * height / short))
    resized = [Image.fromarray(frame).resize(sides, Image.Resampling.BICUBIC) for frame in frames]
    return np.stack([np.asarray(image) for image in resized])


def centre_crop(frames: UInt8[np.ndarray, "F H W 3"], size: int) -> UInt8[np.ndarray, "F S S 3"]:
    """The central square; where it cannot be exact, half a pixel towards the upper left."""
    top, left = ((side - size) // 2 for side in frames.shape[1:3])
    return frames[:, top : top + size, left : left + size]


def normalise(
    frames: UInt8[np.ndarray, "F H W 3"], mean: Sequence[float], std: Sequence[float]
) -> Float[np.ndarray, "F H W 3"]:
    """`(x / 255 - mean) / std` by channel, rounded to float32 once."""
    values = np.arange(256)[:, None] / 255
    table = ((values - np.asarray(mean)) / np.asarray(std)).astype(np.float32)
    return table[frames, np.arange(3)]
