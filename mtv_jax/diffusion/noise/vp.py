"""Variance-preserving noise (DDPM, CogVideoX): how much of the clean latents is left at each training timestep.

x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise; VideoCrafter2 also scales x_0 down. Everything is computed in numpy
float64 from the config and stored as float32; latents are cast to float32 before they meet a schedule, whatever the
model's dtype.
"""

import dataclasses
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.noise.base import Level, SamplingLevels, fresh_noise, levels_like
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Float

Prediction = Literal["v", "epsilon", "sample"]
Spacing = Literal["trailing", "leading", "linspace", "floor"]


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """Which schedule, and which of the timesteps sampling visits.

    Attributes:
        num_train_timesteps: number of training timesteps T; timesteps are 0 (nearly clean) to T-1 (noise).
        beta_start: first beta of `linspace(sqrt(beta_start), sqrt(beta_end), T) ** 2`.
        beta_end: last beta.
        snr_shift_scale: s in `abar / (s + (1 - s) abar)`, which divides every SNR by s; before the rescale.
        zero_terminal_snr: shift and scale sqrt(abar) so that timestep T-1 is pure noise (arXiv 2305.08891).
        zero_snr_on: `full` rescales all T values and then picks those that are visited (diffusers);
            `subsampled` picks first (the MTV reference). Training always uses `full`.
        prediction: what the network predicts, `v` = sqrt(abar) noise - sqrt(1 - abar) x_0, `epsilon` (the noise),
            or `sample` (x_0 itself).
        spacing: timesteps visited. `trailing`, `leading` and `linspace` as diffusers; `floor` is the MTV
            reference's floor(linspace(T-1, 0, n, endpoint=False)), the same as `trailing` where n divides T.
        steps_offset: is added to the timesteps of `leading`.
        step_to: noise level a step goes to. `next`: that of the next visited timestep, and the last step
            ends at the clean sample. `stride`: that of t - T // n as diffusers, the same where n divides T.
        set_alpha_to_one: the level after timestep 0 is abar = 1, else abar of timestep 0.
        x0_level: level by which a prediction becomes x_0. `own`: that of the step; `nearest`: the nearest
            entry of the full table (the MTV reference).
        scale_b: x_0 is multiplied by a factor that falls from 1 to this on a line over the first `scale_steps`
            timesteps, and stays there (VideoCrafter2); 1 leaves it as it is. Only with `epsilon`.
        scale_steps: as said.
    """

    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    snr_shift_scale: float = 1.0
    zero_terminal_snr: bool = True
    zero_snr_on: Literal["full", "subsampled"] = "full"
    prediction: Prediction = "v"
    spacing: Spacing = "trailing"
    steps_offset: Literal[0, 1] = 0
    step_to: Literal["next", "stride"] = "next"
    set_alpha_to_one: bool = True
    x0_level: Literal["own", "nearest"] = "own"
    scale_b: float = 1.0
    scale_steps: int = 400

    def __post_init__(self):
        choices = {
            "zero_snr_on": ("full", "subsampled"),
            "prediction": get_args(Prediction),
            "spacing": get_args(Spacing),
            "steps_offset": (0, 1),
            "step_to": ("next", "stride"),
            "x0_level": ("own", "nearest"),
        }
        for field, allowed in choices.items():
            value = getattr(self, field)
            if value not in allowed:
                raise UserError(f"{field}={value!r}: not known; use one of {', '.join(map(str, allowed))}")
        if self.scale_b != 1 and self.prediction != "epsilon":
            raise UserError(f"scale_b={self.scale_b} with prediction {self.prediction!r}: needs epsilon")

    @property
    def x0_at_every_timestep(self) -> bool:
        """Whether a prediction determines x_0 at all timesteps: the noise does not where abar is 0."""
        return not (self.prediction == "epsilon" and self.zero_terminal_snr)

    def schedule(self) -> "Schedule":
        """The schedule with its tables."""
        return Schedule.create(self)

    @classmethod
    def cogvideox_2b(cls) -> "ScheduleConfig":
        """Schedule of CogVideoX-2b: SNR shift 3, steps as diffusers."""
        return cls(snr_shift_scale=3.0, step_to="stride")

    @classmethod
    def cogvideox_5b(cls) -> "ScheduleConfig":
        """Schedule of CogVideoX-5b and 5b-I2V: no SNR shift, steps as diffusers."""
        return cls(step_to="stride")

    @classmethod
    def stable_diffusion(cls) -> "ScheduleConfig":
        """Schedule of Stable Diffusion 2.1-base: timesteps 1, 21, ..., 981 in 50 steps, ending at the level of 0."""
        return cls(
            zero_terminal_snr=False,
            prediction="epsilon",
            spacing="leading",
            steps_offset=1,
            step_to="stride",
            set_alpha_to_one=False,
        )

    @classmethod
    def videocrafter2(cls) -> "ScheduleConfig":
        """Schedule of VideoCrafter2 (`inference_t2v_512_v2.0.yaml`): that of Stable Diffusion with a scale."""
        return dataclasses.replace(cls.stable_diffusion(), scale_b=0.7)

    @classmethod
    def released(cls) -> "ScheduleConfig":
        """Schedule as the public MTV reference samples with it, its peculiarities included."""
        return cls(zero_snr_on="subsampled", spacing="floor", x0_level="nearest")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The full table of T entries as float32 arrays.

    The arrays are NumPy's: an array on a device that a function closes over is copied to the host when the function is
    compiled, which the training loop forbids.
    """

    alphas_cumprod: Float[np.ndarray, "T"]
    sqrt_alphas_cumprod: Float[np.ndarray, "T"]
    sqrt_one_minus_alphas_cumprod: Float[np.ndarray, "T"]
    scales: Float[np.ndarray, "T"]
    config: ScheduleConfig

    @classmethod
    def create(cls, config: ScheduleConfig | None = None) -> "Schedule":
        """The schedule of `config` (default: `ScheduleConfig()`)."""
        config = config or ScheduleConfig()
        abar = full_alphas_cumprod(config)
        arrays = (abar, np.sqrt(abar), np.sqrt(1 - abar), scale_factors(config))
        return cls(*(np.asarray(a, np.float32) for a in arrays), config=config)

    @property
    def num_train_timesteps(self) -> int:
        """T; timesteps are 0 to T - 1."""
        return self.config.num_train_timesteps

    def timesteps_at(self, positions: Float[Array, "b"]) -> Array:
        """Integer timesteps at `positions` in [0, 1), each equally often."""
        total = self.num_train_timesteps
        return jnp.minimum((positions * total).astype(jnp.int32), total - 1)

    def levels(self, t: Array) -> tuple[Array, Array]:
        """scale_t sqrt(abar_t) and sqrt(1 - abar_t), in the shape of `t`."""
        index = jnp.asarray(t).astype(jnp.int32)
        signal, sigma = jnp.asarray(self.sqrt_alphas_cumprod), jnp.asarray(self.sqrt_one_minus_alphas_cumprod)
        return jnp.asarray(self.scales)[index] * signal[index], sigma[index]

    def target(
        self, x0: Float[Array, "b ..."], noise: Float[Array, "b ..."], t: Array
    ) -> Float[Array, "b ..."]:
        """What the network predicts; v_t = sqrt(abar_t) noise - sqrt(1 - abar_t) x_0 (arXiv 2202.00512)."""
        x0, noise = x0.astype(jnp.float32), noise.astype(jnp.float32)
        if self.config.prediction == "sample":
            return x0
        if self.config.prediction == "epsilon":
            return noise
        signal, sigma = levels_like(self, x0, t)
        return signal * noise - sigma * x0

    def to_x0(
        self, x: Float[Array, "b ..."], prediction: Float[Array, "b ..."], t: Array
    ) -> Float[Array, "b ..."]:
        """The x_0 that a raw prediction at `x` stands for, in float32.

        v: sqrt(abar) x - sqrt(1 - abar) v. epsilon: (x - sqrt(1 - abar) epsilon) / (scale sqrt(abar)), and 0 where
        abar is 0: there the noise says nothing about x_0. sample: itself.
        """
        x, prediction = x.astype(jnp.float32), prediction.astype(jnp.float32)
        if self.config.prediction == "sample":
            return prediction
        signal, sigma = levels_like(self, x, t)
        if self.config.prediction == "v":
            return signal * x - sigma * prediction
        return jnp.where(signal > 0, (x - sigma * prediction) / jnp.where(signal > 0, signal, 1.0), 0.0)

    def sampling_levels(self, num_steps: int) -> SamplingLevels:
        """The timesteps and levels that `num_steps` steps visit, 1 <= num_steps <= T."""
        config, timesteps = self.config, sampling_timesteps(self.config, num_steps)
        now, after, last = sampling_alphas_cumprod(config, num_steps)
        scales = scale_factors(config)
        # No scale at timestep 0, nor below it.
        then = scales[np.maximum(_next_timesteps(config, timesteps), 0)]
        from_x, from_prediction = _x0_coefficients(config, now)
        return SamplingLevels(
            timesteps,
            Level(now * scales[timesteps] ** 2, 1 - now),
            Level(after * then**2, 1 - after),
            last,
            fresh_noise(Level(now, 1 - now), Level(after, 1 - after)),
            from_x / scales[timesteps],
            from_prediction / scales[timesteps],
        )


def zero_terminal(alphas_cumprod: np.ndarray) -> np.ndarray:
    """Shifts and scales sqrt(abar): the last becomes 0, the first stays (arXiv 2305.08891, alg. 1)."""
    root = np.sqrt(alphas_cumprod)
    if root[0] == root[-1]:  # one entry: it can only be pure noise
        return np.zeros_like(root)
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def shifted_alphas_cumprod(config: ScheduleConfig) -> np.ndarray:
    """abar of all T timesteps after the SNR shift and before the zero-SNR rescale; float64 `[T]`."""
    roots = np.linspace(config.beta_start**0.5, config.beta_end**0.5, config.num_train_timesteps)
    abar = np.cumprod(1 - roots**2)
    scale = config.snr_shift_scale
    return abar / (scale + (1 - scale) * abar)


def full_alphas_cumprod(config: ScheduleConfig) -> np.ndarray:
    """abar of all T timesteps as training uses it; float64 `[T]`, index = timestep."""
    abar = shifted_alphas_cumprod(config)
    return zero_terminal(abar) if config.zero_terminal_snr else abar


def scale_factors(config: ScheduleConfig) -> np.ndarray:
    """Factors of x_0 beside sqrt(abar), of all T timesteps; float64 `[T]`."""
    scales = np.full(config.num_train_timesteps, config.scale_b)
    falling = np.linspace(1, config.scale_b, config.scale_steps)[: len(scales)]
    scales[: len(falling)] = falling
    return scales


def sampling_timesteps(config: ScheduleConfig, num_steps: int) -> np.ndarray:
    """The timesteps that `num_steps` steps visit, from noisy to clean; int64 `[num_steps]`.

    They are always `num_steps`: where that does not divide T, VideoCrafter's own `range(0, T, T // n)` can have more,
    and go beyond T - 1. Raises `UserError` unless 1 <= num_steps <= T, or T - 1 with an offset.
    """
    total = config.num_train_timesteps
    most = total - config.steps_offset if config.spacing == "leading" else total
    if not 1 <= num_steps <= most:
        raise UserError(f"num_steps={num_steps}: a schedule of {total} timesteps takes 1 to {most} steps")
    if config.spacing == "linspace":
        return np.linspace(0, total - 1, num_steps).round()[::-1].astype(np.int64)
    if config.spacing == "leading":
        return (np.arange(num_steps) * (total // num_steps) + config.steps_offset)[::-1].astype(np.int64)
    if config.spacing == "floor":
        return np.linspace(total - 1, 0, num_steps, endpoint=False).astype(np.int64)
    # The cut is for the counts (61, 103, ...) where rounding in arange gives one entry too many.
    return np.round(np.arange(total, 0, -total / num_steps))[:num_steps].astype(np.int64) - 1


def sampling_alphas_cumprod(
    config: ScheduleConfig, num_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """abar before and after each step (float64), and whether it ends below timestep 0; all `[num_steps]`."""
    timesteps = sampling_timesteps(config, num_steps)
    if config.zero_terminal_snr and config.zero_snr_on == "subsampled":
        # The rescale keeps the first entry and zeroes the last, so it wants rising timesteps.
        table = full_alphas_cumprod(config).copy()
        table[timesteps] = zero_terminal(shifted_alphas_cumprod(config)[timesteps[::-1]])[::-1]
    else:
        table = full_alphas_cumprod(config)
    final = 1.0 if config.set_alpha_to_one else table[0]
    target = _next_timesteps(config, timesteps)
    ends = target < 0
    return table[timesteps], np.where(ends, final, table[np.maximum(target, 0)]), ends


def _next_timesteps(config: ScheduleConfig, timesteps: np.ndarray) -> np.ndarray:
    """The timestep that each step goes to; below 0: to the end."""
    if config.step_to == "next":
        return np.append(timesteps[1:], -1)
    return timesteps - config.num_train_timesteps // len(timesteps)


def nearest_level(config: ScheduleConfig, alphas_cumprod: np.ndarray) -> np.ndarray:
    """Index of the entry of the full table whose sqrt(abar) is nearest; int64, shape as given."""
    table = np.sqrt(full_alphas_cumprod(config))
    return np.abs(np.sqrt(alphas_cumprod)[..., None] - table).argmin(-1)


def _x0_coefficients(config: ScheduleConfig, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x_0 = first * x + second * prediction, as `Schedule.to_x0`."""
    if config.x0_level == "nearest":
        now = full_alphas_cumprod(config)[nearest_level(config, now)]
    signal, sigma = np.sqrt(now), np.sqrt(1 - now)
    if config.prediction == "sample":
        return np.zeros_like(now), np.ones_like(now)
    if config.prediction == "v":
        return signal, -sigma
    inverse = np.divide(1.0, signal, out=np.zeros_like(signal), where=signal > 0)
    return inverse, -sigma * inverse
