"""Draws boxes with names into frames."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324")
_LINE = 160
"""Pixels of the shorter side for each pixel of a line's width."""
_TEXT = 24
"""Pixels of the shorter side for each pixel of a letter's height."""


def draw_boxes(
    frames: UInt8[np.ndarray, "F H W 3"], boxes: Mapping[str, Float[np.ndarray, "F 4"]]
) -> UInt8[np.ndarray, "F H W 3"]:
    """A copy of frames with a box for each name (left, top, right, bottom, shares of the frame)."""
    return np.stack(
        [_drawn(frame, {name: box[i] for name, box in boxes.items()}) for i, frame in enumerate(frames)]
    )


def _drawn(frame: np.ndarray, boxes: Mapping[str, np.ndarray]) -> np.ndarray:
    image = Image.fromarray(frame)
    draw, (width, height) = ImageDraw.Draw(image), image.size
    line = max(min(width, height) // _LINE, 1)
    font = ImageFont.load_default(max(min(width, height) / _TEXT, 8))
    for number, (name, box) in enumerate(boxes.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        left, top, right, bottom = (
            round(float(side) * (size - 1)) for side, size in zip(box, (width, height) * 2, strict=True)
        )
        draw.rectangle((left, top, right, bottom), outline=colour, width=line)
        corner = (left + 2 * line, top + line)
        draw.rectangle(draw.textbbox(corner, name, font=font), fill=colour)
        draw.text(corner, name, fill="white", font=font)
    return np.asarray(image)
