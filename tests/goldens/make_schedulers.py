"""Makes schedulers.npz: trajectories of diffusers' CogVideoX schedulers, read by tests without torch.

Run from the repository with the extra `parity`: `python tests/goldens/make_schedulers.py`. Per case the file
holds `<case>.timesteps`, `<case>.noise` (one array a step) and `<case>.trajectory` (x_init, then x after
every step); the configs are in the JSON string `cases`. The network is `toy_prediction`.
"""

import json
import os
import warnings
from pathlib import Path
from unittest import mock

import numpy as np

SHAPE = (1, 2, 2, 3, 2)


def toy_prediction(x, t, tanh):
    """A smooth stand-in for the network, of the right size; `tanh` is that of the array library of `x`."""
    return 0.8 * tanh(0.9 * x + 0.1) - 0.3 * (t / 1000)


def cases() -> dict[str, dict]:
    """Scheduler configs in diffusers' own words, with `sampler` and `num_steps`."""
    five_b = {
        "snr_shift_scale": 1.0,
        "rescale_betas_zero_snr": True,
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
        "set_alpha_to_one": True,
    }
    variants = {
        "5b_50": (five_b, 50),
        "2b_20": ({**five_b, "snr_shift_scale": 3.0}, 20),
        "odd_7": (five_b, 7),
        "odd_33": ({**five_b, "snr_shift_scale": 1.7}, 33),
        "leading_25": ({**five_b, "timestep_spacing": "leading"}, 25),
        "linspace_9": ({**five_b, "timestep_spacing": "linspace"}, 9),
        "kept_alpha_10": ({**five_b, "set_alpha_to_one": False}, 10),
        "epsilon_12": ({**five_b, "prediction_type": "epsilon", "rescale_betas_zero_snr": False}, 12),
    }
    return {
        f"{sampler}.{name}": {"sampler": sampler, "num_steps": steps, **config}
        for name, (config, steps) in variants.items()
        for sampler in ("ddim", "dpm++")
    }


def run(case: dict, x_init: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Timesteps, and the trajectory `[n + 1, ...]` of diffusers, with the noise `[n, ...]` of its n steps."""
    import torch
    from diffusers.schedulers import scheduling_dpm_cogvideox as dpm
    from diffusers.schedulers.scheduling_ddim_cogvideox import CogVideoXDDIMScheduler

    case = dict(case)
    name, num_steps = case.pop("sampler"), case.pop("num_steps")
    cls = CogVideoXDDIMScheduler if name == "ddim" else dpm.CogVideoXDPMScheduler
    scheduler = cls(clip_sample=False, **case)
    scheduler.set_timesteps(num_steps)
    x, previous, trajectory = torch.from_numpy(x_init), None, [x_init]
    for i, t in enumerate(scheduler.timesteps):
        prediction = toy_prediction(x, float(t), torch.tanh)
        if name == "ddim":
            x = scheduler.step(prediction, int(t), x, return_dict=False)[0]
        else:
            back = int(scheduler.timesteps[i - 1]) if i else None
            # The scheduler draws twice a step; every draw of a step is given that step's noise.
            with mock.patch.object(dpm, "randn_tensor", lambda *_, i=i, **__: torch.from_numpy(noise[i])):
                x, previous = scheduler.step(prediction, previous, int(t), back, x, return_dict=False)
        trajectory.append(x.numpy())
    return scheduler.timesteps.numpy(), np.stack(trajectory)


def run_ours(case: dict, x_init: np.ndarray, noise: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The same by mtv_jax; `noise` may be None for ddim. No torch."""
    import jax
    import jax.numpy as jnp

    from mtv_jax.diffusion.noise.vp import Schedule, ScheduleConfig
    from mtv_jax.diffusion.samplers import SamplerConfig, sampler_step, sampler_steps, start, step_at

    config = ScheduleConfig(
        snr_shift_scale=case["snr_shift_scale"],
        zero_terminal_snr=case["rescale_betas_zero_snr"],
        prediction="v" if case["prediction_type"] == "v_prediction" else "epsilon",
        spacing=case["timestep_spacing"],
        set_alpha_to_one=case["set_alpha_to_one"],
        step_to="stride",
    )
    sampler = SamplerConfig(case["sampler"], case["num_steps"])
    steps = sampler_steps(Schedule.create(config), sampler)

    def denoise(x, t):
        return toy_prediction(x, t[0], jnp.tanh)

    one = jax.jit(lambda state, step, noise: sampler_step(denoise, state, step, noise=noise))
    state, trajectory = start(jnp.asarray(x_init), None, sampler), [x_init]
    for i in range(sampler.num_steps):
        state = one(state, step_at(steps, i), None if noise is None else noise[i])
        trajectory.append(np.asarray(state.x))
    return np.asarray(steps.timestep), np.stack(trajectory)


def main():
    """Writes schedulers.npz beside this file."""
    rng = np.random.default_rng(0)
    arrays = {"cases": np.array(json.dumps(cases()))}
    for name, case in cases().items():
        x_init = rng.standard_normal(SHAPE, np.float32)
        noise = rng.standard_normal((case["num_steps"], *SHAPE), np.float32)
        timesteps, trajectory = run(case, x_init, noise)
        assert np.isfinite(trajectory).all(), name
        arrays |= {f"{name}.timesteps": timesteps, f"{name}.trajectory": trajectory}
        if case["sampler"] != "ddim":
            arrays[f"{name}.noise"] = noise
    path = Path(__file__).with_name("schedulers.npz")
    np.savez_compressed(path, **arrays)
    print(f"{path}: {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
