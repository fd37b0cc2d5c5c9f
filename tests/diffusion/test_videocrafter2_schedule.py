"""VideoCrafter2's noise and its DDIM against the authors' code (tests/goldens/videocrafter2)."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import videocrafter_goldens as goldens

from mtv_jax.diffusion.guidance import guidance_scale, guided
from mtv_jax.diffusion.noise.base import add_noise
from mtv_jax.diffusion.noise.vp import (
    Schedule,
    ScheduleConfig,
    sampling_alphas_cumprod,
    sampling_timesteps,
    scale_factors,
)
from mtv_jax.diffusion.samplers import SamplerConfig, sampler_step, sampler_steps, start, step_at
from mtv_jax.io.errors import UserError

TABLE, STEP = 1e-6, 1e-5
"""The golden's bounds: of schedules, and relative ones of a step."""


@pytest.fixture(scope="module")
def golden():
    return goldens.arrays()


@pytest.fixture(scope="module")
def values():
    return goldens.values()


@pytest.fixture(scope="module")
def config():
    return goldens.schedule_config()


def near(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=STEP * np.abs(expected).max())


def test_the_preset_is_the_published_configuration():
    """`inference_t2v_512_v2.0.yaml` of AILab-CVC/VideoCrafter."""
    preset = ScheduleConfig.videocrafter2()
    assert (preset.num_train_timesteps, preset.beta_start, preset.beta_end) == (1000, 0.00085, 0.012)
    assert (preset.scale_b, preset.scale_steps, preset.prediction) == (0.7, 400, "epsilon")


def test_tables_are_those_of_the_authors_code(golden, config):
    schedule = Schedule.create(config)
    for name in ("alphas_cumprod", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod"):
        np.testing.assert_allclose(getattr(schedule, name), golden[f"schedule.{name}"], atol=TABLE)
    before = np.append(1, np.asarray(schedule.alphas_cumprod)[:-1])
    np.testing.assert_allclose(before, golden["schedule.alphas_cumprod_prev"], atol=TABLE)
    np.testing.assert_allclose(1 - schedule.alphas_cumprod / before, golden["schedule.betas"], atol=TABLE)
    total = config.num_train_timesteps
    np.testing.assert_allclose(schedule.scales, golden["schedule.scale_arr"][:total], atol=TABLE)


@pytest.mark.parametrize("eta", [0, 1])
def test_levels_and_noise_of_every_step_are_theirs(golden, values, config, eta):
    """They go to the level of timestep 0 at last, and add noise there too: it is not clean."""
    expected = {
        key.split(".")[1]: value for key, value in golden.items() if re.match(rf"ddim\d+_eta{eta}\.", key)
    }
    n = values["sampling"]["ddim_steps_actual"]
    timesteps = sampling_timesteps(config, n)
    np.testing.assert_array_equal(timesteps[::-1], expected["timesteps"])
    now, after, _ = sampling_alphas_cumprod(config, n)
    np.testing.assert_allclose(now[::-1], expected["alphas"], atol=TABLE)
    np.testing.assert_allclose(np.sqrt(1 - now)[::-1], expected["sqrt_one_minus_alphas"], atol=TABLE)
    np.testing.assert_allclose(after[::-1], expected["alphas_prev_f64"], atol=TABLE)
    levels = Schedule.create(config).sampling_levels(n)
    np.testing.assert_allclose(np.sqrt(levels.now.signal / now)[::-1], expected["scale"], atol=TABLE)
    np.testing.assert_allclose(
        np.sqrt(levels.after.signal / after)[::-1], expected["scale_prev_f64"], atol=TABLE
    )
    steps = sampler_steps(Schedule.create(config), SamplerConfig("ddim", n, eta))
    np.testing.assert_allclose(steps.next_from_noise[::-1], expected["sigmas_f64"], atol=TABLE)
    assert bool(steps.next_from_noise[-1] > 0) == bool(eta)


@pytest.mark.parametrize("eta", [0, 1])
def test_single_steps_are_theirs(golden, values, config, eta):
    n, scale = values["sampling"]["ddim_steps_actual"], values["sampling"]["cfg_scale"]
    sampler = SamplerConfig("ddim", n, eta)
    steps = sampler_steps(Schedule.create(config), sampler)
    # Theirs are [b c f h w]; a step is the same for any order.
    both = jnp.concatenate([golden["step.eps_uncond"], golden["step.eps_cond"]])
    denoise = guided(lambda x, t: both, guidance_scale("constant", scale))
    one = jax.jit(
        lambda step: sampler_step(
            denoise, start(golden["step.x"], None, sampler), step, noise=golden["step.noise"]
        )
    )
    indices = sorted(
        {int(found[1]) for key in golden if (found := re.match(r"step\.eta\d_index(\d+)_", key))}
    )
    assert indices
    for index in indices:
        state = one(step_at(steps, n - 1 - index))
        near(state.x, golden[f"step.eta{eta}_index{index}_x_prev"])
        near(state.x0, golden[f"step.eta{eta}_index{index}_pred_x0"])


def test_noised_latents_are_theirs_and_their_noise_gives_them_back(golden, config):
    schedule, t = Schedule.create(config), golden["q.t"]
    x0, noise = golden["q.x0"], golden["q.noise"]
    x = add_noise(schedule, x0, noise, t)
    near(x, golden["q.out"])
    np.testing.assert_allclose(schedule.to_x0(x, schedule.target(x0, noise, t), t), x0, atol=1e-4)


def test_step_counts_are_kept_where_theirs_grow_and_leave_the_schedule(values, config):
    """Of 3 steps they make 4, of which the first is at timestep 1000, which a schedule of 1000 does not have."""
    total = config.num_train_timesteps
    for count, expected in values["ddim_timesteps_uniform"].items():
        n = int(count)
        found = sampling_timesteps(config, n)[::-1]
        np.testing.assert_array_equal(found, expected[:n])
        assert len(found) == n
        assert found[-1] < total
    with pytest.raises(UserError, match=f"takes 1 to {total - 1} steps"):
        sampling_timesteps(config, total)


def test_the_scale_falls_on_a_line_and_stays():
    config = dataclasses.replace(
        ScheduleConfig.videocrafter2(), num_train_timesteps=10, scale_steps=4, scale_b=0.4
    )
    np.testing.assert_allclose(scale_factors(config), [1, 0.8, 0.6] + [0.4] * 7)
    short = dataclasses.replace(config, num_train_timesteps=2)
    np.testing.assert_allclose(scale_factors(short), [1, 0.8])
    np.testing.assert_array_equal(scale_factors(ScheduleConfig()), 1)
    with pytest.raises(UserError, match=r"scale_b=0\.7 with prediction 'v'"):
        ScheduleConfig(scale_b=0.7)


@pytest.mark.parametrize("name", ["ddpm", "dpm++"])
def test_every_sampler_ends_at_the_data_of_a_perfect_network(name):
    """With the scale and the true noise, all samplers lead to x_0 (at the level of timestep 0)."""
    schedule = Schedule.create(ScheduleConfig.videocrafter2())
    sampler = SamplerConfig(name, 25)
    steps = sampler_steps(schedule, sampler)
    x0 = jnp.linspace(-2, 2, 6)[None]

    def denoise(x, t):
        signal, sigma = (level[:, None] for level in schedule.levels(t))
        return (x - signal * x0) / sigma

    one = jax.jit(lambda state, step: sampler_step(denoise, state, step))
    state = start(jnp.ones_like(x0), jax.random.split(jax.random.key(0), 1), sampler)
    for index in range(sampler.num_steps):
        state = one(state, step_at(steps, index))
    np.testing.assert_allclose(state.x, x0, atol=0.12)  # four standard deviations of the level of timestep 0
