"""All steps of a sampler in one program, for tests of its numbers."""

import jax

from mtv_jax.diffusion.samplers import sampler_step, sampler_steps, start


def sample(denoise, x_init, keys, schedule, config, *, clean=None, noise=None):
    """x_0 of `x_init` [b ...]; `noise` [steps b ...] is that of the steps, instead of the draws by `keys` [b]."""

    def body(state, inputs):
        step, step_noise = inputs
        return sampler_step(denoise, state, step, clean=clean, noise=step_noise), None

    steps = sampler_steps(schedule, config)
    return jax.lax.scan(body, start(x_init, keys, config), (steps, noise))[0].x
