"""Boxes: fractions of the frame (left, top, right, bottom), their layouts, and the cells that they cover."""

from typing import Literal

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the width and height of the frame."""

Layout = Literal["LR", "TD"]
"""Two sources: left and right, or top and down."""

LAYOUTS: dict[Layout, tuple[Box, Box]] = {
    "LR": ((0.0, 0.3, 0.5, 0.7), (0.5, 0.3, 1.0, 0.7)),
    "TD": ((0.0, 0.0, 1.0, 0.4), (0.0, 0.4, 1.0, 1.0)),
}
"""The boxes of the paper's figures (Maestro's released code)."""

HALVES: dict[Layout, tuple[Box, Box]] = {
    "LR": ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)),
    "TD": LAYOUTS["TD"],
}
"""The parts of the frame in which the released code denoises each source."""
