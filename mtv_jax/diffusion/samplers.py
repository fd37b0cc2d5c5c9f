"""Samplers: from noise to latents by repeated denoising. They take a denoise function, never a model.

All of them do the same at a step: turn the raw prediction into x_0, then

    x <- a x + b x_0 + c x_0 of the step before + d noise

so that a sampler is a table of a, b, c, d (float64, from the schedule) and one step function serves them all.
The limits at abar = 0 and abar = 1 are taken in that table, never in float32 on the device.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.schedule import (
    Schedule,
    ScheduleConfig,
    full_alphas_cumprod,
    nearest_level,
    sampling_alphas_cumprod,
    sampling_timesteps,
)
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Float, Key

Denoise = Callable[[Float[Array, "b ..."], Float[Array, "b"]], Float[Array, "b ..."]]
"""`(x, t) -> raw prediction`, with `x` float32 and `t` the training timesteps as float32 `[b]`."""

Clean = tuple[Float[Array, "b f ..."], Array]
"""Keyframes: values `[b f ...]` and a bool mask `[b f]`, true where a frame is given."""

SamplerName = Literal["ddpm", "ddim", "dpm++"]


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
        names = get_args(SamplerName)
        if self.name not in names:
            raise UserError(f"sampler={self.name!r}: not known; use one of {', '.join(names)}")
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
    sqrt_alpha: Array
    """sqrt(abar) of `x` before the step."""
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


def sampler_steps(schedule: Schedule, config: SamplerConfig) -> Step:
    """The stacked table of all steps, float32 (int32 `index`). `step_at` takes one out."""
    now, after, ends = sampling_alphas_cumprod(schedule.config, config.num_steps)
    x0_from_x, x0_from_prediction = _x0_coefficients(schedule.config, now)
    if config.name == "dpm++":
        rows = _dpm_coefficients(now, after, ends)
    elif config.name == "ddim":
        rows = _ddim_coefficients(now, after, config.eta)
    else:
        rows = _ddpm_coefficients(now, after)
    timesteps = sampling_timesteps(schedule.config, config.num_steps)
    columns = (timesteps, np.sqrt(now), x0_from_x, x0_from_prediction, *rows)
    index = jnp.arange(config.num_steps, dtype=jnp.int32)
    return Step(index, *(jnp.asarray(column, jnp.float32) for column in columns))


def _x0_coefficients(schedule: ScheduleConfig, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x_0 = first * x + second * prediction; see `schedule.to_x0` for epsilon at abar = 0."""
    if schedule.x0_level == "nearest":
        now = full_alphas_cumprod(schedule)[nearest_level(schedule, now)]
    signal, sigma = np.sqrt(now), np.sqrt(1 - now)
    if schedule.prediction == "sample":
        return np.zeros_like(now), np.ones_like(now)
    if schedule.prediction == "v":
        return signal, -sigma
    inverse = np.divide(1.0, signal, out=np.zeros_like(signal), where=signal > 0)
    return inverse, -sigma * inverse


def _ddpm_coefficients(now: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mean and standard deviation of q(x_after | x_now, x_0) (arXiv 2006.11239, Eq. 7)."""
    alpha = now / after
    variance = (1 - after) / (1 - now) * (1 - alpha)
    from_x = np.sqrt(alpha) * (1 - after) / (1 - now)
    from_x0 = np.sqrt(after) * (1 - alpha) / (1 - now)
    return from_x, from_x0, np.zeros_like(now), np.sqrt(variance)


def _ddim_coefficients(now: np.ndarray, after: np.ndarray, eta: float) -> tuple[np.ndarray, ...]:
    """arXiv 2010.02502, Eq. 12 and 16."""
    sigma = eta * np.sqrt((1 - after) / (1 - now) * (1 - now / after))
    # At eta 1 the difference is exactly 0 in places, and rounding can leave it below.
    direction = np.sqrt(np.maximum(1 - after - sigma**2, 0))
    from_x = direction / np.sqrt(1 - now)
    return from_x, np.sqrt(after) - from_x * np.sqrt(now), np.zeros_like(now), sigma


def half_log_snr(alphas_cumprod: np.ndarray) -> np.ndarray:
    """lambda = log(sqrt(abar) / sqrt(1 - abar)); -inf at abar = 0 and inf at abar = 1."""
    with np.errstate(divide="ignore"):
        return 0.5 * (np.log(alphas_cumprod) - np.log1p(-alphas_cumprod))


def _dpm_coefficients(now: np.ndarray, after: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, ...]:
    """arXiv 2211.01095 (2M), in the SDE form of CogVideoX: x <- m1 x - m2 (m3 x_0 - m4 previous x_0) + noise.

    First order (m3 = 1, m4 = 0) at the first step, at one that follows pure noise (r is infinite) and at
    the end.
    """
    decay = now * (1 - after) / ((1 - now) * after)  # exp(-2 h), h the step in half_log_snr
    from_x = (1 - after) / (1 - now) * np.sqrt(now / after)
    pull = np.sqrt(after) * (1 - decay)
    noise = np.sqrt((1 - after) * np.maximum(1 - decay, 0))
    before = np.concatenate([[0.0], now[:-1]])
    extrapolate = np.zeros_like(now)
    second = (before > 0) & ~ends
    here = half_log_snr(now[second])
    h, h_before = half_log_snr(after[second]) - here, here - half_log_snr(before[second])
    extrapolate[second] = h / (2 * h_before)
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
