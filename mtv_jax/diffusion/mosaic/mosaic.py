"""What Attention Mosaic is given: the boxes of the sources as data, and how they act as options."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.mosaic.boxes import HALVES, LAYOUTS, Box, Kernel, Layout
from mtv_jax.io.errors import UserError

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


@dataclass(frozen=True)
class Mosaic:
    """The boxes of the sources whose tokens are `Conditions.tracks`. A pytree with `names` and `options` static.

    Its leaves may also be tracers, shapes or shardings, so their types are not checked here. b rows, n sources,
    f frames.

    Attributes:
      names: the sources in the order of the axis n: the keys of `Conditions.tracks`, whose own order jit does not keep.
      boxes: Float[b n f 4], left, top, right and bottom as fractions of the frame.
      background: Bool[b n], true for sources of the whole frame: their boxes do not count.
      active: Bool[b n], false for sources that a row does not hear; a row that hears none attends to the text alone.
      locate_until: Float[b], the lowest timestep of Object Locating; Mosaic Denoising is below it. 0: all steps
        locate; infinity: none does.
      options: how the boxes act.
    """

    names: tuple[str, ...]
    boxes: Any
    background: Any
    active: Any
    locate_until: Any
    options: MosaicOptions = field(default_factory=MosaicOptions)

    def for_branches(self, heard: Sequence[Sequence[bool]]) -> "Mosaic":
        """The mosaic `[branches b ...]` of guidance; `heard` says of each branch which of the n sources it has."""
        repeated = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * len(heard)), self)
        active = jnp.concatenate([self.active & np.asarray(sources) for sources in heard])
        return replace(repeated, active=active)


def lowest_located(timesteps: Sequence[float] | np.ndarray, steps: int) -> float:
    """`locate_until` for Object Locating in the first `steps` (N_D) of the timesteps that sampling visits.

    Infinity for 0 steps, and 0 for as many as there are or more. Raises UserError if `steps` is below 0.
    """
    if steps < 0:
        raise UserError(f"{steps} steps of Object Locating: give 0 or more")
    if steps == 0:
        return math.inf
    return 0.0 if steps >= len(timesteps) else float(timesteps[steps - 1])


functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("boxes", "background", "active", "locate_until"),
    meta_fields=("names", "options"),
)(Mosaic)
