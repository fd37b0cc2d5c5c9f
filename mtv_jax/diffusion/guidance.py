"""Classifier-free guidance, with one scale for everything or one for each condition.

Conditions are added one after another, c_0 = none, c_1 = the first group, c_2 = the first two, ...:

    guided = c_0 + sum_i g_i (c_i - c_{i-1})

With one group that is plain guidance u + g (c - u); with equal scales the sum telescopes to the same.

Guiding the raw prediction is guiding x_0, as the MTV reference does: whatever is predicted, x_0 = p x + q c
with p and q the same for all branches, and the weights of the branches (1 - g_1, g_1 - g_2, ...) sum to one.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.samplers import Denoise
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Float

ScaleFn = Callable[[Float[Array, "b"]], Float[Array, "b"]]
"""Guidance scale at the training timesteps `[b]`."""

GuidanceKind = Literal["constant", "dynamic", "dynamic_diffusers"]

_TIMESTEPS = 1000
"""T of the formulas, whatever the schedule (as in MTV and CogVideoX)."""


def guidance_scale(kind: GuidanceKind, scale: float, *, num_steps: int = 50) -> ScaleFn:
    """The scale as a function of the timestep.

    - `constant`: `scale`.
    - `dynamic`: 1 + scale (1 - cos(pi ((T - t) / T)**5)) / 2, rising from 1 to 1 + scale; T = 1000.
    - `dynamic_diffusers`: the same with the number of sampling steps for T and t still the training timestep,
      which is what diffusers' CogVideoX pipeline computes: it jumps about between 1 and 1 + scale.
    """
    t = np.arange(_TIMESTEPS)
    if kind == "constant":
        table = np.full(_TIMESTEPS, scale, np.float64)
    elif kind in ("dynamic", "dynamic_diffusers"):
        total = _TIMESTEPS if kind == "dynamic" else num_steps
        table = 1 + scale * (1 - np.cos(math.pi * ((total - t) / total) ** 5)) / 2
    else:
        raise UserError(f"guidance={kind!r}: not known; use constant, dynamic or dynamic_diffusers")
    # A table, since the last kind needs float64: its cosine is of numbers up to 1e7.
    scales = jnp.asarray(table, jnp.float32)
    return lambda timesteps: scales[timesteps.astype(jnp.int32)]


def guided(denoise: Denoise, *scales: ScaleFn) -> Denoise:
    """A denoise function of batch b, from one of batch (groups + 1) b and a scale for each group.

    `denoise` gets x and t repeated, and answers for [no condition, first group, first two groups, ...]: with
    one scale that is the doubled batch [unconditional, conditional]. `Conditions.for_guidance` puts conditions in
    this order.
    """
    branches = len(scales) + 1

    def combined(x: Float[Array, "b ..."], t: Float[Array, "b"]) -> Float[Array, "b ..."]:
        prediction = denoise(jnp.concatenate([x] * branches), jnp.concatenate([t] * branches))
        parts = jnp.split(prediction.astype(jnp.float32), branches)
        out = parts[0]
        for scale, before, after in zip(scales, parts[:-1], parts[1:], strict=True):
            g = scale(t)
            out = out + g.reshape(g.shape + (1,) * (x.ndim - 1)) * (after - before)
        return out

    return combined


def guidance_groups(scales: Mapping[str, float]) -> tuple[list[list[str]], list[float]]:
    """Groups and their scales for `{"text": 6.0, "speech": 6.0, "music": 3.0, ...}`, in the order given.

    Neighbours of equal scale share a group, so four equal scales cost two network branches, not five.
    """
    groups: list[list[str]] = []
    values: list[float] = []
    for name, scale in scales.items():
        if values and values[-1] == scale:
            groups[-1].append(name)
        else:
            groups.append([name])
            values.append(scale)
    return groups, values
