"""The interface of noise schedules is enough for another family: flow matching, as Wan and SD3 use it."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sampler_loop import sample

from mtv_jax.diffusion.losses import denoising_loss, noised_latents, stratified_timesteps
from mtv_jax.diffusion.noise.base import (
    Level,
    NoiseConfig,
    NoiseSchedule,
    SamplingLevels,
    add_noise,
    fresh_noise,
    levels_like,
)
from mtv_jax.diffusion.noise.vp import Schedule, ScheduleConfig
from mtv_jax.diffusion.samplers import SamplerConfig, sampler_steps


@dataclass(frozen=True)
class Flow:
    """x_t = (1 - sigma) x_0 + sigma noise with sigma = t / T; predicts noise - x_0; timesteps shifted as in SD3."""

    shift: float = 3.0
    num_train_timesteps: int = 1000

    def timesteps_at(self, positions):
        return self.num_train_timesteps * self.shift * positions / (1 + (self.shift - 1) * positions)

    def levels(self, t):
        return 1 - t / self.num_train_timesteps, t / self.num_train_timesteps

    def target(self, x0, noise, t):
        return noise - x0

    def to_x0(self, x, prediction, t):
        return x - levels_like(self, x, t)[1] * prediction

    def sampling_levels(self, num_steps):
        timesteps = self.timesteps_at(np.linspace(1, 0, num_steps + 1))
        signal, sigma = self.levels(timesteps)
        now, after = (Level(signal[s] ** 2, sigma[s] ** 2) for s in (slice(0, -1), slice(1, None)))
        last = np.arange(num_steps) == num_steps - 1
        fresh = fresh_noise(now, after)
        return SamplingLevels(timesteps[:-1], now, after, last, fresh, np.ones(num_steps), -sigma[:-1])


@pytest.fixture(scope="module")
def draws():
    return jax.random.normal(jax.random.key(0), (3, 3, 4, 2, 2, 3))


def test_both_families_are_noise_schedules():
    assert isinstance(Flow(), NoiseSchedule)
    assert isinstance(Schedule.create(), NoiseSchedule)
    assert isinstance(ScheduleConfig(), NoiseConfig)
    assert isinstance(ScheduleConfig().schedule(), Schedule)


def test_flow_noises_each_frame_and_finds_x0_again(draws):
    x0, noise, _ = draws
    t = jnp.array([[0.0, 250, 500, 999], [1000, 0, 1, 2], [10, 20, 30, 40]])
    x = add_noise(Flow(), x0, noise, t)
    np.testing.assert_array_equal(x[0, 0], x0[0, 0])
    np.testing.assert_allclose(x[0, 1], 0.75 * x0[0, 1] + 0.25 * noise[0, 1], atol=1e-6)
    np.testing.assert_array_equal(x[1, 0], noise[1, 0])
    np.testing.assert_allclose(Flow().to_x0(x, Flow().target(x0, noise, t), t), x0, atol=1e-6)


def test_flow_trains_by_the_same_losses(draws):
    x0, noise, guess = draws
    t = stratified_timesteps(jax.random.key(1), 3, Flow())
    # Thirds of [0, 1) under the shift 3 u / (1 + 2 u).
    assert [int(np.searchsorted([600, 857.14, 1000], x)) for x in sorted(t)] == [0, 1, 2]
    clean = jnp.zeros((3, 4), bool).at[:, 0].set(True)
    np.testing.assert_array_equal(noised_latents(Flow(), x0, noise, t, clean)[:, 0], x0[:, 0])
    plain, weighted = (denoising_loss(Flow(), x0, noise, t, guess, kind=kind) for kind in ("mse", "x0_snr"))
    np.testing.assert_allclose(plain, ((noise - x0 - guess) ** 2).mean((1, 2, 3, 4)), rtol=1e-6)
    np.testing.assert_allclose(weighted, plain, rtol=1e-4)


def test_ddim_of_flow_is_an_euler_step_along_the_velocity():
    steps = sampler_steps(Flow(), SamplerConfig("ddim", 5))
    sigma = np.append(steps.timestep, 0) / 1000
    # x <- a x + b (x - sigma v) = x + (next sigma - sigma) v
    np.testing.assert_allclose(steps.next_from_x + steps.next_from_x0, 1, atol=1e-6)
    np.testing.assert_allclose(-steps.next_from_x0 * sigma[:-1], np.diff(sigma), atol=1e-6)


@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpm++"])
def test_every_sampler_follows_an_exact_flow_to_its_end(name):
    """Data that is one point c: the velocity at x is (x - c) / sigma, and any sampler must end at c."""
    c = jnp.array([[0.3, -2.0]])

    def denoise(x, t):
        return (x - c) / (t[:, None] / 1000)

    keys, x = jax.random.split(jax.random.key(0), 1), jax.random.normal(jax.random.key(1), (1, 2))
    np.testing.assert_allclose(sample(denoise, x, keys, Flow(), SamplerConfig(name, 4)), c, atol=1e-5)
