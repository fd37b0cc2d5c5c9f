"""What samplers, losses, training and pipelines need of a noise schedule, whatever its family.

All families mix linearly: x_t = signal(t) x_0 + noise_factor(t) noise. They differ in the two factors, in what the
network predicts at x_t, and in the timesteps that training draws and sampling visits.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np

from mtv_jax.typing import Array, Float


class Level(NamedTuple):
    """Noise levels in float64: x = sqrt(signal) x_0 + sqrt(noise) noise."""

    signal: np.ndarray
    noise: np.ndarray


class SamplingLevels(NamedTuple):
    """The steps of a sampler, from noisy to clean; every array is `[num_steps]`, computed in float64.

    Attributes:
        timesteps: input of the network.
        now: level of x before each step.
        after: level of x after it.
        last: whether a step ends below the lowest timestep; solvers are of first order there.
        fresh: share of the noise that DDIM draws anew at eta 1, `fresh_noise` by whatever levels its authors take.
        x0_from_x: factor of x in the x_0 that a prediction stands for; at a level without signal, 0 if
            the prediction then says nothing about x_0.
        x0_from_prediction: factor of the prediction in that x_0.
    """

    timesteps: np.ndarray
    now: Level
    after: Level
    last: np.ndarray
    fresh: np.ndarray
    x0_from_x: np.ndarray
    x0_from_prediction: np.ndarray


@runtime_checkable
class NoiseSchedule(Protocol):
    """How clean latents are noised, what a network predicts of the noised ones, and how that is undone.

    Latents are `[b ...]`; timesteps are `[b]` or, for a timestep per frame, `[b f]`. Results are float32 whatever
    the dtype of the latents. Timestep 0 is the least noisy one.
    """

    @property
    def num_train_timesteps(self) -> int:
        """T: timesteps lie in 0 <= t <= T."""
        ...

    def timesteps_at(self, positions: Float[Array, "b"]) -> Array:
        """The training timesteps `[b]` at `positions` in [0, 1): uniform positions give training's distribution."""
        ...

    def levels(self, t: Array) -> tuple[Array, Array]:
        """Factors of x_0 and of the noise in x_t, in the shape of `t`."""
        ...

    def target(
        self, x0: Float[Array, "b ..."], noise: Float[Array, "b ..."], t: Array
    ) -> Float[Array, "b ..."]:
        """What the network is trained to predict at x_t."""
        ...

    def to_x0(
        self, x: Float[Array, "b ..."], prediction: Float[Array, "b ..."], t: Array
    ) -> Float[Array, "b ..."]:
        """The x_0 that a raw prediction at x_t = `x` stands for."""
        ...

    def sampling_levels(self, num_steps: int) -> SamplingLevels:
        """The timesteps and levels that `num_steps` steps visit. Raises UserError for an impossible number."""
        ...


@runtime_checkable
class NoiseConfig(Protocol):
    """The frozen dataclass that names a schedule in a training config."""

    @property
    def x0_at_every_timestep(self) -> bool:
        """Whether a prediction determines x_0 at all timesteps: noise predicted at pure noise does not."""
        ...

    def schedule(self) -> NoiseSchedule:
        """The schedule itself, with its tables."""
        ...


def fresh_noise(now: Level, after: Level) -> np.ndarray:
    """Share of the noise power `now` that was added since `after`: 1 - exp(-2 h), h the step in half_log_snr."""
    return 1 - now.signal * after.noise / (now.noise * after.signal)


def add_noise(
    schedule: NoiseSchedule, x0: Float[Array, "b ..."], noise: Float[Array, "b ..."], t: Array
) -> Float[Array, "b ..."]:
    """x_t, in float32; `t` is `[b]` or, per frame, `[b f]`."""
    signal, factor = levels_like(schedule, x0, t)
    return signal * x0.astype(jnp.float32) + factor * noise.astype(jnp.float32)


def levels_like(schedule: NoiseSchedule, x: Float[Array, "b ..."], t: Array) -> tuple[Array, Array]:
    """`schedule.levels(t)` with trailing axes of length 1, so that they multiply `x`."""
    shape = t.shape + (1,) * (x.ndim - t.ndim)
    signal, factor = schedule.levels(t)
    return signal.reshape(shape), factor.reshape(shape)
