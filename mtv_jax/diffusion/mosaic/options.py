"""How boxes act on attention: options, and the boxes of the paper's figures. Nothing here needs JAX."""

from dataclasses import dataclass
from typing import Literal, get_args

from mtv_jax.io.errors import UserError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the width and height of the frame."""

Layout = Literal["LR", "TD"]
"""Two sources: left and right, or top and down."""

Kernel = Literal["centred", "released"]
"""Coordinates of a Gaussian in a box of h cells. `centred`: cell centres about the centre of the box; `released`:
linspace(0, h, h) about h // 2, as the authors' code has it."""

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

Gaussian = Literal["pre", "post"]
Outside = Literal["nearest", "null"]


@dataclass(frozen=True)
class MosaicOptions:
    """How boxes act on attention. The defaults are the paper's (`paper`); `released` is the authors' code.

    Attributes:
      strength: share of the largest logit that a Gaussian of peak 1 adds in a source's own box, and takes from it in
        the boxes of others (Object Locating).
      weaken: factor of the sources' logits outside all boxes (Object Locating).
      gaussian: whether Gaussians are added to the logits (`pre`) or to the weights after the softmax (`post`, where
        `strength` is a share of the largest weight).
      kernel: coordinates of the Gaussians.
      outside: what a pixel in no box attends to (Mosaic Denoising): the `nearest` box's source, or the text alone
        (`null`).
      first_slot: text token that the sources' tokens replace first; 1 keeps the start token.
      margin: by how much boxes are shrunk on each side before they are rounded to cells, as a fraction of the frame.
      locate_boxes, denoise_boxes: fixed boxes, one of each source, in place of the given ones.
      extra_boxes: the released code has one box more than frames (1), and thereby leaves its last rows of frames and
        heads without Gaussians (Object Locating).
    """

    strength: float = 0.5
    weaken: float = 1.0
    gaussian: Gaussian = "pre"
    kernel: Kernel = "centred"
    outside: Outside = "nearest"
    first_slot: int = 0
    margin: float = 0.01
    locate_boxes: tuple[Box, ...] | None = None
    denoise_boxes: tuple[Box, ...] | None = None
    extra_boxes: int = 0

    def __post_init__(self):
        choices = {"gaussian": get_args(Gaussian), "kernel": get_args(Kernel), "outside": get_args(Outside)}
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise UserError(f"mosaic {name}={value!r}: not known; use one of {', '.join(allowed)}")

    @classmethod
    def paper(cls) -> "MosaicOptions":
        """Eq. 4-10 and Algorithm 1 of the paper, with the Gaussians before the softmax (section 3.2.2)."""
        return cls()

    @classmethod
    def released(cls, layout: Layout) -> "MosaicOptions":
        """The authors' code, for two sources: it locates in the fixed boxes of a layout, and denoises in halves."""
        return cls(
            weaken=0.05,
            kernel="released",
            first_slot=1,
            locate_boxes=LAYOUTS[layout],
            denoise_boxes=HALVES[layout],
            extra_boxes=1,
        )
