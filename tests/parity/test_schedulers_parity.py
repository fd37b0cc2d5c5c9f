"""Schedulers against diffusers, step for step, with seeds and step counts drawn from MTV_JAX_SEED."""

import importlib.util
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest

from mtv_jax.diffusion.noise.vp import ScheduleConfig

pytestmark = pytest.mark.parity

PATH = Path(__file__).parents[1] / "goldens" / "make_schedulers.py"
SEED = int(os.environ.get("MTV_JAX_SEED", 0))


@pytest.fixture(scope="module")
def maker():
    pytest.importorskip("torch")
    pytest.importorskip("diffusers")
    spec = importlib.util.spec_from_file_location("make_schedulers", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn_cases(rng):
    """One config for each pair of sampler and spacing, with the rest drawn."""
    for sampler in ("ddim", "dpm++"):
        for spacing in ("trailing", "leading", "linspace"):
            zero_snr = bool(rng.integers(2))
            epsilon = not zero_snr and bool(rng.integers(2))  # diffusers divides by 0 for the other pair
            yield {
                "sampler": sampler,
                "num_steps": int(rng.integers(2, 60)),
                "snr_shift_scale": float(rng.uniform(1, 4)),
                "rescale_betas_zero_snr": zero_snr,
                "prediction_type": "epsilon" if epsilon else "v_prediction",
                "timestep_spacing": spacing,
                "set_alpha_to_one": bool(rng.integers(2)),
            }


def test_trajectories_agree_at_every_step(maker):
    rng = np.random.default_rng(SEED)
    for case in [*maker.cases().values(), *drawn_cases(rng)]:
        shape = (int(rng.integers(1, 4)), 3, int(rng.integers(1, 5)), 2, 5)
        x_init = rng.standard_normal(shape, np.float32)
        noise = rng.standard_normal((case["num_steps"], *shape), np.float32)
        timesteps, expected = maker.run(case, x_init, noise)
        ours, trajectory = maker.run_ours(case, x_init, noise)
        np.testing.assert_array_equal(ours, timesteps, err_msg=str(case))
        assert np.isfinite(expected).all(), case
        error = np.abs(trajectory - expected).reshape(len(expected), -1).max(1)
        scale = np.abs(expected).reshape(len(expected), -1).max(1)
        assert (error <= 1e-5 * scale).all(), (case, (error / scale).max())


def test_training_table_agrees(maker):
    from diffusers.schedulers import CogVideoXDDIMScheduler

    from mtv_jax.diffusion.noise.vp import Schedule

    for shift in (1.0, 3.0, float(np.random.default_rng(SEED).uniform(1, 5))):
        theirs = CogVideoXDDIMScheduler(rescale_betas_zero_snr=True, snr_shift_scale=shift)
        ours = Schedule.create(ScheduleConfig(snr_shift_scale=shift))
        np.testing.assert_allclose(ours.alphas_cumprod, theirs.alphas_cumprod.numpy(), rtol=0, atol=1e-7)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_schedulers_of_stable_diffusion_visit_the_timesteps_of_their_files(maker):
    import diffusers

    from mtv_jax.diffusion.noise.vp import sampling_timesteps
    from mtv_jax.weights.scheduler import config_from_json

    given = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    for name, spacing in itertools.product(
        ("DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler"), ("leading", "trailing", "linspace")
    ):
        own = {"DDIMScheduler": {"clip_sample": False}, "PNDMScheduler": {"skip_prk_steps": True}}
        theirs = getattr(diffusers, name)(**given, **own.get(name, {}), timestep_spacing=spacing)
        ours = config_from_json(json.loads(theirs.to_json_string()))
        for count in (2, 7, 50):
            theirs.set_timesteps(count)
            # PNDM starts with one of them twice; Euler's linspace is not rounded.
            visited = np.unique(np.round(theirs.timesteps.numpy()))[::-1]
            np.testing.assert_array_equal(
                sampling_timesteps(ours, count), visited, err_msg=f"{name} {spacing}"
            )


def test_ddim_of_stable_diffusion_agrees_at_every_step_and_eta(maker):
    import torch
    from diffusers import DDIMScheduler

    from mtv_jax.diffusion.noise.vp import Schedule
    from mtv_jax.diffusion.samplers import SamplerConfig, sampler_step, sampler_steps, start, step_at
    from mtv_jax.weights.scheduler import config_from_json, config_to_json

    rng = np.random.default_rng(SEED)
    written = config_to_json(ScheduleConfig.stable_diffusion())
    theirs = DDIMScheduler.from_config(written)
    for eta, count in ((0.0, 7), (0.5, 20), (1.0, 50)):
        theirs.set_timesteps(count)
        sampler = SamplerConfig("ddim", count, eta)
        steps = sampler_steps(Schedule.create(config_from_json(json.loads(theirs.to_json_string()))), sampler)
        x = rng.standard_normal((2, 3, 4), np.float32)
        state, expected = start(x, None, sampler), torch.from_numpy(x)
        for i, t in enumerate(theirs.timesteps):
            noise = rng.standard_normal(x.shape, np.float32)
            state = sampler_step(
                lambda x, t: maker.toy_prediction(x, t[0], np.tanh), state, step_at(steps, i), noise=noise
            )
            prediction = maker.toy_prediction(expected, float(t), torch.tanh)
            expected = theirs.step(
                prediction, t, expected, eta=eta, variance_noise=torch.from_numpy(noise)
            ).prev_sample
            np.testing.assert_allclose(state.x, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
