"""Names of colours in a picture: of hair and clothes, by their position beside a face."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from mtv_jax.curation.captions.known import Box
from mtv_jax.typing import Float, UInt8

CLOTHES = {
    "black": (25, 25, 28),
    "grey": (128, 128, 128),
    "white": (240, 240, 240),
    "red": (200, 40, 40),
    "orange": (235, 130, 40),
    "yellow": (240, 205, 50),
    "green": (50, 140, 70),
    "blue": (50, 85, 195),
    "purple": (130, 60, 160),
    "pink": (235, 150, 175),
    "brown": (110, 75, 50),
    "beige": (215, 195, 160),
}
HAIR = {
    "black": (30, 27, 28),
    "brown": (100, 66, 42),
    "blond": (225, 190, 115),
    "red": (185, 75, 35),
    "grey": (150, 150, 150),
    "white": (238, 238, 240),
}
"""sRGB in the middle of each name's range."""

_LEAST_PIXELS = 9


def hair_and_clothes(frames: Sequence[Image.Image], face: Box) -> tuple[str | None, str | None]:
    """The colours of hair and clothes of a face, in all frames; None where the place is outside of the picture."""
    left, top, right, bottom = face
    width, height = right - left, bottom - top
    # A face's box begins at the brow: hair is above it, clothes begin below the neck.
    above = (left + 0.25 * width, top - 0.25 * height, right - 0.25 * width, top - 0.02 * height)
    below = (left - 0.1 * width, bottom + 0.4 * height, right + 0.1 * width, bottom + 0.9 * height)
    return colour_of(frames, above, HAIR), colour_of(frames, below, CLOTHES)


def colour_of(
    frames: Sequence[Image.Image], box: Box, names: Mapping[str, tuple[int, int, int]] = CLOTHES
) -> str | None:
    """The name of most pixels of a box; None if hardly any of it is in the picture."""
    pixels = np.concatenate([_pixels(frame, box) for frame in frames])
    if len(pixels) < _LEAST_PIXELS * len(frames):
        return None
    palette = _lab(np.array(list(names.values()), np.uint8))
    distances = np.linalg.norm(_lab(pixels)[:, None] - palette, axis=-1)
    votes = np.bincount(distances.argmin(axis=1), minlength=len(names))
    return list(names)[int(votes.argmax())]


def brightness(frames: Sequence[Image.Image]) -> float:
    """Mean of the luma of all pixels, 0 to 1."""
    return float(np.mean([np.asarray(frame.convert("L")).mean() for frame in frames])) / 255


def _pixels(frame: Image.Image, box: Box) -> UInt8[np.ndarray, "n 3"]:
    size = np.array([frame.width, frame.height])
    (left, top), (right, bottom) = (
        np.clip(np.round(np.array(corner) * size).astype(int), 0, size) for corner in (box[:2], box[2:])
    )
    return np.asarray(frame)[top:bottom, left:right].reshape(-1, 3)


def _lab(colours: UInt8[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """In CIELAB, in which distances are as large as they look."""
    import cv2  # here, since curation without pictures needs none

    return cv2.cvtColor((colours[None] / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
