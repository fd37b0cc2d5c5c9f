"""DPM++(2M) SDE against the numbers of the MTV reference."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.diffusion.noise.vp import Schedule, sampling_alphas_cumprod, sampling_timesteps
from mtv_jax.diffusion.samplers import (
    SamplerConfig,
    half_log_snr,
    sampler_step,
    sampler_steps,
    start,
    step_at,
)


@pytest.fixture(scope="module")
def counts(sampler_golden):
    return sorted({int(m[1]) for key in sampler_golden if (m := re.match(r"n(\d+)\.", key))})


def step_of(model, schedule, config, clean):
    levels = np.zeros(schedule.config.num_train_timesteps, np.float32)
    now = sampling_alphas_cumprod(schedule.config, config.num_steps)[0]
    levels[sampling_timesteps(schedule.config, config.num_steps)] = np.sqrt(now)

    def denoise(x, t):
        a = jnp.asarray(levels)[t.astype(jnp.int32)].reshape(t.shape + (1,) * (x.ndim - 1))
        gauss = 0.3 + a * 0.64 * (x - a * 0.3) / (a**2 * 0.64 + 1 - a**2)
        x0 = gauss if model == "gauss" else 0.5 * x
        return (a * x - x0) / jnp.sqrt(1 - a**2)

    return lambda state, step, noise: sampler_step(denoise, state, step, clean=clean, noise=noise)


def test_coefficients(sampler_golden, bounds, counts, reference_schedule):
    atol = bounds["sampler h, lamb*, mult*"]
    for n in counts:
        g = {
            name: sampler_golden[f"n{n}.{name}"]
            for name in ("h", "mult1", "mult2", "mult3", "mult4", "mult_noise")
        }
        steps = sampler_steps(Schedule.create(reference_schedule), SamplerConfig("dpm++", n))
        levels = Schedule.create(reference_schedule).sampling_levels(n)
        lamb, lamb_next = half_log_snr(levels.now)[:-1], half_log_snr(levels.after)[:-1]
        np.testing.assert_allclose(lamb, sampler_golden[f"n{n}.lamb"], rtol=0, atol=atol)
        np.testing.assert_allclose(lamb_next, sampler_golden[f"n{n}.lamb_next"], rtol=0, atol=atol)
        np.testing.assert_allclose(lamb_next - lamb, g["h"], rtol=0, atol=atol)
        mult3, mult4 = np.nan_to_num(g["mult3"], nan=1.0), np.nan_to_num(g["mult4"], nan=0.0)
        expected = (g["mult1"], -g["mult2"] * mult3, g["mult2"] * mult4, g["mult_noise"])
        ours = steps.next_from_x, steps.next_from_x0, steps.next_from_previous_x0, steps.next_from_noise
        for mine, theirs in zip(ours, expected, strict=True):
            np.testing.assert_allclose(mine[:-1], theirs, rtol=0, atol=atol)


@pytest.mark.parametrize("model", ["half", "gauss", "half_prefix1"])
def test_trajectories(sampler_golden, bounds, counts, reference_schedule, model):
    # The models give x_0 by the sampler's own level, so here that level makes x_0 of a prediction too.
    schedule = Schedule.create(dataclasses.replace(reference_schedule, x0_level="own", prediction="v"))
    for n in counts:
        config = SamplerConfig("dpm++", n)
        x, noise = jnp.asarray(sampler_golden[f"n{n}.x_init"]), sampler_golden[f"n{n}.noise"]
        clean, free = None, slice(None)
        if model == "half_prefix1":
            clean, free = (x, (jnp.arange(x.shape[1]) < 1)[None]), slice(1, None)
        one = jax.jit(step_of(model, schedule, config, clean))
        state, steps = start(x, None, config), sampler_steps(schedule, config)
        expected = sampler_golden[f"n{n}.{model}.x_after_step"]
        for k in range(n):
            state = one(state, step_at(steps, k), noise[min(k, n - 2)])
            np.testing.assert_allclose(
                state.x[:, free], expected[k][:, free], rtol=0, atol=bounds["sampler n*.x_* (toy)"]
            )
        np.testing.assert_allclose(
            state.x, sampler_golden[f"n{n}.{model}.x_final"], rtol=0, atol=bounds["sampler n*.x_* (toy)"]
        )
