"""How boxes act on attention: options, and the boxes of the paper's figures. Nothing here needs JAX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mtv_jax.io.checks import check_number, check_whole
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
_MOST = {"first_slot": 1, "extra_boxes": 64}
"""Largest values: there are tokens of sources in all slots but that of the start token."""


def check_box(box: Sequence[float]) -> Box:
    """The box as floats. Raises UserError unless it is four numbers in 0..1, left < right and top < bottom."""
    words = ",".join(f"{side:g}" for side in box)
    if len(box) != 4:
        raise UserError(f"box {words}: {len(box)} numbers; give four: left, top, right, bottom")
    left, top, right, bottom = map(float, box)
    if not all(0 <= side <= 1 for side in (left, top, right, bottom)):
        raise UserError(f"box {words}: outside the frame; all sides lie between 0 and 1")
    if not (left < right and top < bottom):
        raise UserError(
            f"box {words}: empty; give left, top, right, bottom with left < right and top < bottom"
        )
    return left, top, right, bottom


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


def values_from_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `MosaicOptions` as JSON has them, with boxes as tuples.

    Raises UserError, naming the field, for numbers and boxes that are none.
    """
    found = dict(values)
    for name, value in values.items():
        if name in ("strength", "weaken", "margin"):
            check_number(f"mosaic {name}", value)
        elif name in _MOST:
            check_whole(f"mosaic {name}", value, least=0, most=_MOST[name])
        elif name in ("locate_boxes", "denoise_boxes"):
            found[name] = _fixed_boxes(name, value)
    return found


def _fixed_boxes(name: str, boxes: Any) -> tuple[Box, ...] | None:
    """Raises UserError, naming the field, unless all are boxes."""
    if boxes is None:
        return None
    if not isinstance(boxes, (list, tuple)) or not all(isinstance(box, (list, tuple)) for box in boxes):
        raise UserError(f"mosaic {name}: must be a list of boxes, each a list of left, top, right, bottom")
    for side in (side for box in boxes for side in box):
        check_number(f"mosaic {name}", side)
    return tuple(check_box(box) for box in boxes)
