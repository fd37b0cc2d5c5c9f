import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.diffusion.noise.base import add_noise
from mtv_jax.diffusion.noise.vp import (
    Schedule,
    ScheduleConfig,
    full_alphas_cumprod,
    nearest_level,
    sampling_alphas_cumprod,
    sampling_timesteps,
    shifted_alphas_cumprod,
)
from mtv_jax.io.errors import UserError


def assert_close(actual, desired, atol):
    np.testing.assert_allclose(actual, desired, rtol=0, atol=atol)


def test_training_table_is_that_of_the_mtv_reference(sampler_golden, bounds, reference_schedule):
    atol = bounds["sampler sqrt_alphabar*"]
    schedule = Schedule.create(reference_schedule)
    assert_close(schedule.sqrt_alphas_cumprod, sampler_golden["train.sqrt_alphabar_1000"], atol)
    assert_close(
        shifted_alphas_cumprod(reference_schedule),
        sampler_golden["train.alphabar_before_zero_snr_1000"],
        1e-12,
    )
    assert_close(
        np.sqrt(full_alphas_cumprod(reference_schedule)),
        sampler_golden["train.sqrt_alphabar_1000_f64"],
        1e-12,
    )
    shifted = Schedule.create(dataclasses.replace(reference_schedule, snr_shift_scale=3.0))
    assert_close(shifted.sqrt_alphas_cumprod, sampler_golden["train.shift3.sqrt_alphabar_1000"], atol)


def test_released_sampling_levels_are_those_of_the_mtv_reference(sampler_golden, bounds, reference_schedule):
    config = reference_schedule
    counts = sorted({int(m[1]) for key in sampler_golden if (m := re.match(r"n(\d+)\.", key))})
    assert counts
    for n in counts:
        now, after, ends = sampling_alphas_cumprod(config, n)
        np.testing.assert_array_equal(sampling_timesteps(config, n), sampler_golden[f"n{n}.timesteps"])
        levels = np.sqrt(np.append(now, after[-1]))
        assert_close(levels, sampler_golden[f"n{n}.sqrt_alphabar_f64"], 1e-10)
        assert_close(levels, sampler_golden[f"n{n}.sqrt_alphabar"], bounds["sampler sqrt_alphabar*"])
        assert_close(after[:-1], now[1:], 0)
        assert ends.tolist() == [False] * (n - 1) + [True]
        nearest = nearest_level(config, now)
        np.testing.assert_array_equal(nearest, sampler_golden[f"n{n}.denoiser_quantised_index"])
        table = Schedule.create(config).sqrt_alphas_cumprod
        assert_close(
            np.asarray(table)[nearest],
            sampler_golden[f"n{n}.denoiser_sqrt_alphabar"],
            bounds["sampler sqrt_alphabar*"],
        )


@pytest.mark.parametrize("config", [ScheduleConfig(), ScheduleConfig.cogvideox_2b()])
def test_zero_terminal_snr_ends_in_pure_noise_and_keeps_the_first_level(config):
    plain = full_alphas_cumprod(dataclasses.replace(config, zero_terminal_snr=False))
    rescaled = full_alphas_cumprod(config)
    assert rescaled[-1] == 0
    assert rescaled[0] == pytest.approx(plain[0], rel=1e-12)
    assert (np.diff(rescaled) < 0).all()
    assert plain[-1] > 0


def test_snr_shift_divides_every_snr():
    snr = [
        a / (1 - a) for a in (shifted_alphas_cumprod(ScheduleConfig(snr_shift_scale=s)) for s in (1.0, 3.0))
    ]
    np.testing.assert_allclose(snr[0] / snr[1], 3.0, rtol=1e-9)


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace", "floor"])
def test_every_step_count_gives_that_many_falling_timesteps(spacing):
    config = ScheduleConfig(spacing=spacing)
    for n in [*range(1, 130), 201, 457, 999, 1000]:
        timesteps = sampling_timesteps(config, n)
        assert timesteps.shape == (n,)
        assert (np.diff(timesteps) < 0).all()
        assert timesteps[0] <= 999
        assert timesteps[-1] >= 0
        if spacing in ("trailing", "floor"):
            assert timesteps[0] == 999


def test_next_and_stride_agree_where_the_count_divides_the_training_steps():
    for n in (1, 4, 20, 50, 1000):
        ours, strided = (sampling_alphas_cumprod(ScheduleConfig(step_to=s), n) for s in ("next", "stride"))
        for a, b in zip(ours, strided, strict=True):
            np.testing.assert_array_equal(a, b)
    assert sampling_alphas_cumprod(ScheduleConfig(), 7)[1][-1] == 1
    assert sampling_alphas_cumprod(ScheduleConfig(step_to="stride"), 7)[1][-1] < 1


def test_set_alpha_to_one_decides_the_last_level():
    kept = ScheduleConfig(set_alpha_to_one=False)
    assert sampling_alphas_cumprod(kept, 10)[1][-1] == full_alphas_cumprod(kept)[0]
    assert sampling_alphas_cumprod(ScheduleConfig(), 10)[1][-1] == 1


@pytest.mark.parametrize("prediction", ["v", "epsilon", "sample"])
def test_the_true_prediction_gives_back_x0_at_each_frames_own_timestep(prediction):
    schedule = Schedule.create(ScheduleConfig(prediction=prediction))
    x0, noise = jax.random.normal(jax.random.key(0), (2, 2, 3, 1, 2, 4))
    t = jnp.array([[0, 500, 900], [3, 250, 0]])
    x = add_noise(schedule, x0, noise, t)
    signal, sigma = (level[..., None, None, None] for level in schedule.levels(t))
    truth = {"v": signal * noise - sigma * x0, "epsilon": noise, "sample": x0}[prediction]
    assert_close(schedule.target(x0, noise, t), truth, 1e-6)
    assert_close(schedule.to_x0(x, truth, t), x0, 1e-5)
    one = add_noise(schedule, x0[:, :1], noise[:, :1], t[:, 0])
    assert_close(one, x[:, :1], 0)


def test_pure_noise_has_a_finite_x0_and_a_finite_gradient():
    for prediction, expected in (("v", -2.0), ("epsilon", 0.0), ("sample", 2.0)):
        schedule = Schedule.create(ScheduleConfig(prediction=prediction))

        def estimate(p, schedule=schedule):
            return schedule.to_x0(jnp.ones((1, 1)), p, jnp.array([999])).sum()

        value, gradient = jax.value_and_grad(estimate)(jnp.full((1, 1), 2.0))
        assert value == expected
        assert np.isfinite(gradient).all()


def test_half_precision_latents_meet_the_schedule_in_float32():
    schedule = Schedule.create()
    x = jnp.ones((1, 2), jnp.bfloat16)
    for result in (
        add_noise(schedule, x, x, jnp.array([7])),
        schedule.target(x, x, jnp.array([7])),
        schedule.to_x0(x, x, jnp.array([7])),
    ):
        assert result.dtype == jnp.float32


@pytest.mark.parametrize("field", ["zero_snr_on", "prediction", "spacing", "step_to", "x0_level"])
def test_unknown_choices_are_named(field):
    with pytest.raises(UserError, match=f"{field}='sideways'"):
        ScheduleConfig(**{field: "sideways"})


@pytest.mark.parametrize("n", [0, 1001])
def test_impossible_step_counts_are_refused(n):
    with pytest.raises(UserError, match=f"num_steps={n}"):
        sampling_timesteps(ScheduleConfig(), n)


def test_only_noise_predicted_at_pure_noise_leaves_x0_unknown():
    unknown = [
        (prediction, zero)
        for prediction in ("v", "epsilon", "sample")
        for zero in (False, True)
        if not ScheduleConfig(prediction=prediction, zero_terminal_snr=zero).x0_at_every_timestep
    ]
    assert unknown == [("epsilon", True)]
