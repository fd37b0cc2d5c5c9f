"""Samplers: from noise to latents by repeated denoising. They take a denoise function, never a model.

All of them do the same at a step: turn the raw prediction into x_0, then

    x <- a x + b x_0 + c x_0 of the step before + d noise

so that a sampler is a table of a, b, c, d (float64, from the schedule) and one step function serves them all.
The limits without signal and without noise are taken in that table, never in float32 on the device.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.noise.base import Level, NoiseSchedule, fresh_noise
from mtv_jax.io.errors import UserError
from mtv_jax.names import SAMPLERS, SamplerName
from mtv_jax.typing import Array, Float, Key

Denoise = Callable[[Float[Array, "b ..."], Float[Array, "b"]], Float[Array, "b ..."]]
"""`(x, t) -> raw prediction`, with `x` float32 and `t` the training timesteps as float32 `[b]`."""

Clean = tuple[Float[Array, "b f ..."], Array]
"""Keyframes: values `[b f ...]` and a bool mask `[b f]`, true where a frame is given."""


@dataclasses.dataclass(frozen=True)
class SamplerConfig:
    """Which sampler and how many steps.

    Attributes:
        name: `ddpm` (ancestral, posterior variance), `ddim`, or `dpm++` (DPM-Solver++ (2M) SDE).
        num_steps: network evaluations, 1 to T.
        eta: noise of DDIM between 0 (deterministic) and 1 (equal to DDPM).
    """

    name: SamplerName = "dpm++"
    num_steps: int = 50
    eta: float = 0.0

    def __post_init__(self):
        if self.name not in SAMPLERS:
            raise UserError(f"sampler={self.name!r}: not known; use one of {', '.join(SAMPLERS)}")
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta={self.eta}: must lie between 0 and 1")
        if self.eta and self.name != "ddim":
            raise UserError(f"eta={self.eta} with sampler {self.name!r}: only ddim takes it; leave it at 0")

    @property
    def stochastic(self) -> bool:
        """Whether steps add noise."""
        return self.name != "ddim" or self.eta > 0


class Step(NamedTuple):
    """What one step needs, scalars; `sampler_steps` gives them stacked `[num_steps]`."""

    index: Array
    timestep: Array
    x0_from_x: Array
    x0_from_prediction: Array
    next_from_x: Array
    next_from_x0: Array
    next_from_previous_x0: Array
    next_from_noise: Array


class SamplerState(NamedTuple):
    """What goes from step to step."""

    x: Float[Array, "b ..."]
    x0: Float[Array, "b ..."]
    """x_0 of the step before (zeros at first)."""
    keys: Key[Array, "b"] | None
    """Of each row, so that no row depends on the others. They never change: the noise of step i is drawn from
    `fold_in(key, i)`. None: steps add no noise, or it is given."""


def sampler_steps(schedule: NoiseSchedule, config: SamplerConfig) -> Step:
    """The stacked table of all steps, float32 (int32 `index`). `step_at` takes one out."""
    levels = schedule.sampling_levels(config.num_steps)
    if config.name == "dpm++":
        rows = _dpm_coefficients(levels.now, levels.after, levels.last)
    elif config.name == "ddim":
        rows = _ddim_coefficients(levels.now, levels.after, levels.fresh, config.eta)
    else:
        rows = _ddpm_coefficients(levels.now, levels.after)
    columns = (levels.timesteps, levels.x0_from_x, levels.x0_from_prediction, *rows)
    index = jnp.arange(config.num_steps, dtype=jnp.int32)
    return Step(index, *(jnp.asarray(column, jnp.float32) for column in columns))


def _ddpm_coefficients(now: Level, after: Level) -> tuple[np.ndarray, ...]:
    """Mean and standard deviation of q(x_after | x_now, x_0) (arXiv 2006.11239, Eq. 7)."""
    fresh = fresh_noise(now, after)
    from_x = np.sqrt(now.signal / after.signal) * after.noise / now.noise
    return (
        from_x,
        np.sqrt(after.signal) * fresh,
        np.zeros_like(fresh),
        np.sqrt(after.noise * np.maximum(fresh, 0)),
    )


def _ddim_coefficients(now: Level, after: Level, fresh: np.ndarray, eta: float) -> tuple[np.ndarray, ...]:
    """arXiv 2010.02502, Eq. 12 and 16."""
    sigma = eta * np.sqrt(after.noise * np.maximum(fresh, 0))
    # At eta 1 the difference is exactly 0 in places, and rounding can leave it below.
    direction = np.sqrt(np.maximum(after.noise - sigma**2, 0))
    from_x = direction / np.sqrt(now.noise)
    return from_x, np.sqrt(after.signal) - from_x * np.sqrt(now.signal), np.zeros_like(sigma), sigma


def half_log_snr(level: Level) -> np.ndarray:
    """lambda = log(sqrt(signal / noise)); -inf without signal and inf without noise."""
    with np.errstate(divide="ignore"):
        return 0.5 * (np.log(level.signal) - np.log(level.noise))


def _dpm_coefficients(now: Level, after: Level, last: np.ndarray) -> tuple[np.ndarray, ...]:
    """arXiv 2211.01095 (2M), in the SDE form of CogVideoX: x <- m1 x - m2 (m3 x_0 - m4 previous x_0) + noise.

    First order (m3 = 1, m4 = 0) at the first step, at one that follows pure noise (r is infinite) and at
    the end.
    """
    fresh = fresh_noise(now, after)
    from_x = after.noise / now.noise * np.sqrt(now.signal / after.signal)
    pull = np.sqrt(after.signal) * fresh
    noise = np.sqrt(after.noise * np.maximum(fresh, 0))
    before = Level(*(np.concatenate([[0.0], level[:-1]]) for level in now))
    extrapolate = np.zeros_like(pull)
    second = (before.signal > 0) & ~last
    here, there, then = (
        half_log_snr(Level(*(part[second] for part in level))) for level in (now, after, before)
    )
    extrapolate[second] = (there - here) / (2 * (here - then))
    return from_x, pull * (1 + extrapolate), -pull * extrapolate, noise


def step_at(steps: Step, index: int) -> Step:
    """Step `index` of a stacked table."""
    return jax.tree.map(lambda column: column[index], steps)


def start(x_init: Float[Array, "b ..."], keys: Key[Array, "b"] | None, config: SamplerConfig) -> SamplerState:
    """The state before the first step. `x_init` is standard normal noise; float32 inside.

    `keys` are those of the rows, for the noise of the steps; None if the sampler adds none, or each step is given its.
    """
    x = x_init.astype(jnp.float32)
    return SamplerState(x, jnp.zeros_like(x), keys if config.stochastic else None)


def sampler_step(
    denoise: Denoise,
    state: SamplerState,
    step: Step,
    *,
    clean: Clean | None = None,
    noise: Float[Array, "b ..."] | None = None,
) -> SamplerState:
    """One step, jit-safe.

    `noise` replaces the step's own draw. Keyframes in `clean` are written, un-noised, before and after the
    network runs. For a loop on the host with progress, jit it once and hand it each step:

        steps, state = sampler_steps(schedule, config), start(noise, keys, config)
        one = jax.jit(lambda state, step: sampler_step(denoise, state, step))
        for i in range(config.num_steps):
            state = one(state, step_at(steps, i))
    """
    x = _write(state.x, clean)
    t = jnp.broadcast_to(step.timestep, x.shape[:1])
    prediction = denoise(x, t).astype(jnp.float32)
    x0 = step.x0_from_x * x + step.x0_from_prediction * prediction
    x = step.next_from_x * x + step.next_from_x0 * x0 + step.next_from_previous_x0 * state.x0
    if noise is None and state.keys is not None:
        noise = _step_noise(state.keys, step.index, x.shape[1:])
    if noise is not None:
        x = x + step.next_from_noise * noise.astype(jnp.float32)
    return SamplerState(_write(x, clean), x0, state.keys)


def _step_noise(keys: Key[Array, "b"], index: Array, shape: tuple[int, ...]) -> Float[Array, "b ..."]:
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, index), shape))(keys)


def _write(x: Float[Array, "b f ..."], clean: Clean | None) -> Float[Array, "b f ..."]:
    if clean is None:
        return x
    values, mask = clean
    return jnp.where(mask.reshape(mask.shape + (1,) * (x.ndim - 2)), values.astype(jnp.float32), x)
