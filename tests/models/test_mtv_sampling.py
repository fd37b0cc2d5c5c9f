"""The network, guided and sampled by our code, gives every step of the authors' sampler."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mtv_goldens import (
    bounds,
    case,
    cases,
    channels_last,
    clean_frames,
    params_of,
    schedule_of,
    tracks,
    values,
)

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.guidance import guidance_scale, guided
from mtv_jax.diffusion.noise.vp import Schedule, ScheduleConfig, sampling_timesteps
from mtv_jax.diffusion.samplers import SamplerConfig, sampler_step, sampler_steps, start, step_at

RUNS = cases("in.x_init", "mid.v_uncond_cond")
BOUND = "sampler_cfg* out.x, mid.x_*, mid.x0_guided"


@functools.partial(jax.jit, static_argnums=0)
def one_step(model, params, conditions, state, step, clean, noise):
    """The next state, and the network's predictions without and with conditions."""
    stacked = conditions.for_guidance([conditions.names])
    seen = []

    def denoise(x, t):
        seen.append(model.apply(params, x, t, stacked, method="denoise_windowed"))
        return seen[-1]

    scale = guidance_scale("constant", values()["cfg_scale"])
    return sampler_step(guided(denoise, scale), state, step, clean=clean, noise=noise), seen[-1]


@pytest.mark.parametrize("name", RUNS)
def test_every_step_is_the_original_s(name):
    tensors = case(name)
    x_init, noise = (jnp.asarray(channels_last(tensors[key])) for key in ("in.x_init", "in.noise"))
    given = clean_frames(tensors, x_init.shape[0])
    free = ~np.asarray(given)
    conditions = Conditions(jnp.asarray(tensors["in.text"]), tracks(tensors), given)
    schedule = Schedule.create(schedule_of(ScheduleConfig.released()))
    config = SamplerConfig("dpm++", len(tensors["sched.timesteps"]))
    np.testing.assert_array_equal(
        sampling_timesteps(schedule.config, config.num_steps), tensors["sched.timesteps"]
    )
    model, params = params_of(name)
    state, steps = start(x_init, None, config), sampler_steps(schedule, config)
    wanted = {k: channels_last(tensors[f"mid.{k}"]) for k in ("v_uncond_cond", "x0_guided", "x_after_step")}
    for k in range(config.num_steps):
        step_noise = noise[min(k, len(noise) - 1)]  # the last step adds none
        step = step_at(steps, k)
        state, branches = one_step(model, params, conditions, state, step, (x_init, given), step_noise)
        np.testing.assert_allclose(branches, wanted["v_uncond_cond"][k], rtol=0, atol=bounds()[BOUND])
        np.testing.assert_allclose(state.x0, wanted["x0_guided"][k], rtol=0, atol=bounds()[BOUND])
        # Theirs is from before the keyframes are written back, ours from after.
        np.testing.assert_allclose(
            np.asarray(state.x)[free], wanted["x_after_step"][k][free], rtol=0, atol=bounds()[BOUND]
        )
    np.testing.assert_allclose(state.x, channels_last(tensors["out.x"]), rtol=0, atol=bounds()[BOUND])
