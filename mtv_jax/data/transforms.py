"""Converts frames to the size and range of the networks' inputs, and back."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Float, UInt8

ArrayT = TypeVar("ArrayT", np.ndarray, Array)


def resize_crop(
    frames: UInt8[np.ndarray, "F H W 3"], height: int, width: int
) -> UInt8[np.ndarray, "F height width 3"]:
    """Resizes frames to cover height x width (bicubic, antialiased) and crops the centre.

    The crop is made in fractional source pixels, which keeps the aspect ratio. Raises UserError for a side below 1.
    """
    if height < 1 or width < 1:
        raise UserError(f"size {width}x{height}: height and width must be at least 1")
    source_height, source_width = frames.shape[1:3]
    if (source_height, source_width) == (height, width):
        return frames
    scale = min(source_height / height, source_width / width)
    left, top = (source_width - width * scale) / 2, (source_height - height * scale) / 2
    box = (left, top, left + width * scale, top + height * scale)
    resized = np.empty((len(frames), height, width, 3), np.uint8)
    for target, frame in zip(resized, frames, strict=True):
        target[:] = Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return resized


def resize_pad(
    frames: UInt8[np.ndarray, "F H W 3"], height: int, width: int
) -> UInt8[np.ndarray, "F height width 3"]:
    """Resizes frames to fit into height x width (bicubic, antialiased) and centres them on black.

    Raises UserError for a side below 1.
    """
    if height < 1 or width < 1:
        raise UserError(f"size {width}x{height}: height and width must be at least 1")
    source_height, source_width = frames.shape[1:3]
    scale = min(height / source_height, width / source_width)
    rows, columns = (max(round(side * scale), 1) for side in (source_height, source_width))
    top, left = (height - rows) // 2, (width - columns) // 2
    padded = np.zeros((len(frames), height, width, 3), np.uint8)
    padded[:, top : top + rows, left : left + columns] = resize_crop(frames, rows, columns)
    return padded


def to_unit(video: ArrayT) -> ArrayT:
    """uint8 (NumPy or JAX) to float32 in [-1, 1]: 0 -> -1, 255 -> 1."""
    return (video.astype(np.float32) - 127.5) / 127.5


@jax.jit
def to_uint8(video: Float[Array, "*b H W 3"]) -> UInt8[Array, "*b H W 3"]:
    """[-1, 1] to uint8 on the device, rounded; values outside are clipped. The inverse of `to_unit`."""
    return jnp.clip(jnp.round((video.astype(jnp.float32) + 1) * 127.5), 0, 255).astype(jnp.uint8)
