"""What Attention Mosaic is given: the boxes of the sources as data, and how they act as options."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.mosaic.options import MosaicOptions
from mtv_jax.io.errors import UserError


@dataclass(frozen=True)
class Mosaic:
    """The boxes of the sources whose tokens are `Conditions.tracks`. A pytree with `names` and `options` static.

    Its leaves may also be tracers, shapes or shardings, so their types are not checked here. b rows, n sources,
    f frames.

    Attributes:
      names: the sources in the order of the axis n: the keys of `Conditions.tracks`, whose own order jit does not keep.
      boxes: Float[b n f 4], left, top, right and bottom as fractions of the frame.
      background: Bool[b n], true for sources of the whole frame: their boxes do not count.
      active: Bool[b n], false for sources that a row does not attend to; a row without any attends to the text alone.
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
