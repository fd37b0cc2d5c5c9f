import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sampler_loop import sample

from mtv_jax.diffusion.noise.vp import Schedule, ScheduleConfig, sampling_alphas_cumprod, sampling_timesteps
from mtv_jax.diffusion.samplers import (
    SamplerConfig,
    sampler_step,
    sampler_steps,
    start,
    step_at,
)
from mtv_jax.io.errors import UserError

ALL = [
    SamplerConfig("ddpm", 20),
    SamplerConfig("ddim", 20),
    SamplerConfig("ddim", 20, eta=0.5),
    SamplerConfig("dpm++", 20),
]
TWO = [ALL[1], ALL[3]]
MEAN, VARIANCE = 0.7, 0.36

BIAS = {
    ("ddpm", 0.0): {25: 0.100, 50: 0.063, 200: 0.0225},
    ("ddim", 0.0): {25: 0.070, 50: 0.040, 200: 0.0120},
    ("ddim", 0.5): {25: 0.075, 50: 0.044, 200: 0.0140},
    ("dpm++", 0.0): {25: 0.028, 50: 0.009, 200: 0.0012},
}
"""How much the variance .36 may come out too small, by sampler and number of steps: what cutting time into
steps costs. The mean has no such error: every sampler is exact for it."""


def level_lookup(schedule, config):
    """sqrt(abar) by timestep as the sampler counts it."""
    table = np.zeros(schedule.config.num_train_timesteps)
    now = sampling_alphas_cumprod(schedule.config, config.num_steps)[0]
    table[sampling_timesteps(schedule.config, config.num_steps)] = np.sqrt(now)
    return jnp.asarray(table, jnp.float32)


def gaussian(schedule, config, mean=MEAN, variance=VARIANCE):
    """The exact denoiser of data N(mean, variance), E[x_0 | x_t], as the prediction the schedule wants."""
    levels = level_lookup(schedule, config)

    def denoise(x, t):
        a = levels[t.astype(jnp.int32)].reshape(t.shape + (1,) * (x.ndim - 1))
        sigma2 = 1 - a**2
        residual = (x - a * mean) / (a**2 * variance + sigma2)
        if schedule.config.prediction == "epsilon":
            return jnp.sqrt(sigma2) * residual
        if schedule.config.prediction == "sample":
            return mean + a * variance * residual
        return jnp.sqrt(sigma2) * (a * (1 - variance) * residual - mean)

    return denoise


def moments(schedule, config, start_mean=0.0, start_variance=1.0):
    """Mean and variance of the samples without any sampling.

    The exact denoiser of a Gaussian is affine, so x_0 is affine in the first noise and that of every step:
    its value at zero and its gradient say everything.
    """

    @jax.value_and_grad
    def run(inputs):
        x, noise = inputs
        return sample(gaussian(schedule, config), x, None, schedule, config, noise=noise).sum()

    zeros = jnp.full((1, 1), start_mean), jnp.zeros((config.num_steps, 1, 1))
    mean, (from_x, from_noise) = run(zeros)
    return float(mean), float(start_variance * from_x.sum() ** 2 + (from_noise**2).sum())


def gaussian_case(prediction):
    """The schedule, and mean and variance of x at the first timestep.

    Zero terminal SNR tells epsilon nothing about x_0 at the first step, so epsilon goes without it, and then
    the first x is not quite N(0, 1).
    """
    schedule = Schedule.create(ScheduleConfig(prediction=prediction, zero_terminal_snr=prediction == "v"))
    a = float(schedule.sqrt_alphas_cumprod[-1])
    return schedule, a * MEAN, a**2 * VARIANCE + 1 - a**2


@pytest.mark.parametrize("prediction", ["v", "epsilon"])
@pytest.mark.parametrize("config", ALL, ids=str)
def test_bias_on_gaussian_data_is_as_stated_and_falls_with_more_steps(config, prediction):
    schedule, *first = gaussian_case(prediction)
    lacking = []
    for n, bound in BIAS[config.name, config.eta].items():
        mean, variance = moments(schedule, dataclasses.replace(config, num_steps=n), *first)
        assert mean == pytest.approx(MEAN, abs=1e-4)
        assert 0 < VARIANCE - variance < bound
        lacking.append(VARIANCE - variance)
    assert lacking[2] < 0.4 * lacking[1] < 0.4 * 0.7 * lacking[0]


@pytest.mark.parametrize("prediction", ["v", "epsilon"])
@pytest.mark.parametrize("config", ALL, ids=str)
def test_samples_of_gaussian_data_have_its_mean_and_variance(config, prediction):
    count, config = 20_000, dataclasses.replace(config, num_steps=50)
    schedule, mean, variance = gaussian_case(prediction)
    x_key, key = jax.random.split(jax.random.key(11))
    x_init = mean + np.sqrt(variance) * jax.random.normal(x_key, (count, 1))
    denoise = gaussian(schedule, config)
    keys = jax.random.split(key, count)
    x = np.asarray(jax.jit(lambda x, k: sample(denoise, x, k, schedule, config))(x_init, keys))
    # Five standard errors of the mean and the variance of `count` normal draws, and the stated bias.
    assert x.mean() == pytest.approx(MEAN, abs=5 * np.sqrt(VARIANCE / count))
    bias = BIAS[config.name, config.eta][50]
    assert x.var() == pytest.approx(VARIANCE, abs=5 * VARIANCE * np.sqrt(2 / count) + bias)
    exact = moments(schedule, config, mean, variance)[1]
    assert x.var() == pytest.approx(exact, abs=5 * exact * np.sqrt(2 / count))


@pytest.mark.parametrize("config", ALL, ids=str)
def test_epsilon_goes_with_zero_terminal_snr(config):
    """Its first step takes x_0 for zero, at a level that holds a hundredth of x_0: the mean hardly suffers."""
    schedule = Schedule.create(ScheduleConfig(prediction="epsilon"))
    mean, variance = moments(schedule, dataclasses.replace(config, num_steps=50))
    assert mean == pytest.approx(MEAN, rel=0.01)
    assert 0 < VARIANCE - variance < BIAS[config.name, config.eta][50]


def test_ancestral_sampling_is_ddim_with_full_noise():
    for config in (ScheduleConfig(), ScheduleConfig(snr_shift_scale=3.0, zero_terminal_snr=False)):
        schedule = Schedule.create(config)
        ddpm, ddim = (
            sampler_steps(schedule, c) for c in (SamplerConfig("ddpm"), SamplerConfig("ddim", eta=1.0))
        )
        for a, b in zip(ddpm, ddim, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def toy(x, t):
    return 0.8 * jnp.tanh(x) - 0.3 * (t / 1000).reshape(t.shape + (1,) * (x.ndim - 1))


@pytest.mark.parametrize("config", TWO, ids=str)
def test_same_key_same_bits_and_jit_changes_only_rounding(config):
    config = dataclasses.replace(config, num_steps=5)
    schedule = Schedule.create()
    x_init = jax.random.normal(jax.random.key(0), (2, 3, 2))

    def run(key):
        return sample(toy, x_init, jax.random.split(key, 2), schedule, config)

    key = jax.random.key(1)
    plain, jitted = run(key), jax.jit(run)
    np.testing.assert_array_equal(jitted(key), jitted(key))
    np.testing.assert_allclose(jitted(key), plain, atol=2e-6)
    changed = np.abs(jitted(jax.random.key(2)) - plain).max()
    assert (changed > 1e-2) if config.stochastic else (changed < 2e-6)


def test_the_noise_of_a_row_is_its_own_whatever_is_beside_it():
    config, schedule = SamplerConfig("ddpm", 4), Schedule.create()
    keys, x_init = jax.random.split(jax.random.key(4), 3), jnp.ones((3, 2, 2))
    together = sample(toy, x_init, keys, schedule, config)
    alone = sample(toy, x_init[1:2], keys[1:2], schedule, config)
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-2


@pytest.mark.parametrize("config", TWO, ids=str)
def test_a_loop_on_the_host_gives_what_one_program_gives(config):
    config = dataclasses.replace(config, num_steps=5)
    schedule, keys = Schedule.create(), jax.random.split(jax.random.key(3), 2)
    x_init = jax.random.normal(jax.random.key(0), (2, 3, 2))
    steps, state = sampler_steps(schedule, config), start(x_init, keys, config)
    one = jax.jit(lambda state, step: sampler_step(toy, state, step))
    for i in range(config.num_steps):
        state = one(state, step_at(steps, i))
    whole = jax.jit(lambda x: sample(toy, x, keys, schedule, config))(x_init)
    np.testing.assert_allclose(state.x, whole, atol=2e-6)


@pytest.mark.parametrize("config", ALL, ids=str)
def test_predicting_the_sample_itself_samples_as_predicting_v(config):
    config = dataclasses.replace(config, num_steps=7)
    x_init = jax.random.normal(jax.random.key(0), (2, 3, 2))
    noise = jax.random.normal(jax.random.key(1), (7, 2, 3, 2))
    by_v, by_sample = (
        sample(gaussian(schedule, config), x_init, None, schedule, config, noise=noise)
        for schedule in (Schedule.create(ScheduleConfig(prediction=p)) for p in ("v", "sample"))
    )
    np.testing.assert_allclose(by_v, by_sample, atol=1e-5)


@pytest.mark.parametrize("prediction", ["v", "epsilon", "sample"])
def test_every_coefficient_is_finite_at_any_step_count(prediction):
    for config in (
        ScheduleConfig(prediction=prediction),
        ScheduleConfig(prediction=prediction, zero_snr_on="subsampled", spacing="floor", x0_level="nearest"),
        ScheduleConfig(prediction=prediction, spacing="linspace", step_to="stride", set_alpha_to_one=False),
        ScheduleConfig(prediction=prediction, spacing="leading", set_alpha_to_one=False),
    ):
        schedule = Schedule.create(config)
        for sampler in ALL:
            for n in (1, 2, 3, 7, 50, 1000):
                steps = sampler_steps(schedule, dataclasses.replace(sampler, num_steps=n))
                for name, column in steps._asdict().items():
                    assert column.shape == (n,)
                    assert np.isfinite(column).all(), (config, sampler, n, name)


@pytest.mark.parametrize("config", ALL, ids=str)
def test_the_last_step_returns_x0(config):
    last = step_at(sampler_steps(Schedule.create(), config), -1)
    row = last.next_from_x, last.next_from_x0, last.next_from_previous_x0, last.next_from_noise
    np.testing.assert_allclose(row, (0, 1, 0, 0), atol=1e-7)


@pytest.mark.parametrize("config", TWO, ids=str)
def test_keyframes_stay_and_reach_the_network_at_every_step(config):
    config = dataclasses.replace(config, num_steps=4)
    schedule = Schedule.create()
    values = jnp.arange(2 * 3 * 2, dtype=jnp.float32).reshape(2, 3, 2)
    mask = jnp.array([[True, False, False], [False, True, True]])
    seen = []

    def denoise(x, t):
        jax.debug.callback(lambda x: seen.append(np.asarray(x)), x)
        return toy(x, t)

    x_init = jax.random.normal(jax.random.key(0), (2, 3, 2))
    keys = jax.random.split(jax.random.key(1), 2)
    run = functools.partial(sample, x_init=x_init, keys=keys, schedule=schedule, config=config)
    x = jax.jit(lambda clean: run(denoise, clean=clean))((values, mask))
    jax.effects_barrier()
    assert len(seen) == 4
    for array in (*seen, np.asarray(x)):
        np.testing.assert_array_equal(array[mask], values[mask])
    free = jax.jit(lambda: run(toy))()
    np.testing.assert_allclose(x[~mask], free[~mask], atol=1e-6)


def test_the_network_sees_float32_timesteps_of_the_batch_and_may_answer_in_bfloat16():
    config, schedule = SamplerConfig("ddim", 4), Schedule.create()

    def denoise(x, t):
        assert (x.dtype, t.dtype, t.shape) == (jnp.float32, jnp.float32, (2,))
        return x.astype(jnp.bfloat16)

    x = sample(denoise, jnp.ones((2, 3), jnp.bfloat16), None, schedule, config)
    assert x.dtype == jnp.float32
    np.testing.assert_array_equal(sampler_steps(schedule, config).timestep, [999, 749, 499, 249])


def test_bad_samplers_are_refused_in_one_line():
    with pytest.raises(UserError, match="'euler'"):
        SamplerConfig("euler")
    with pytest.raises(UserError, match="only ddim"):
        SamplerConfig("ddpm", eta=0.5)
    with pytest.raises(UserError, match="between 0 and 1"):
        SamplerConfig("ddim", eta=1.5)
