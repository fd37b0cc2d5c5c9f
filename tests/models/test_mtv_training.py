"""The training loss through the whole network, and its gradients, are the authors' code's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mtv_goldens import bounds, case, cases, channels_last, clean_frames, params_of, schedule_of, tracks

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.losses import denoising_loss, noised_latents
from mtv_jax.diffusion.noise.vp import Schedule, ScheduleConfig
from mtv_jax.weights.mtv_sat import RULES
from mtv_jax.weights.rules import to_state

LOSSES = cases("in.x0", "out.loss")


@functools.partial(jax.jit, static_argnums=0)
def loss_and_gradients(model, params, x0, noise, t, conditions):
    schedule, clean = Schedule.create(schedule_of(ScheduleConfig())), conditions.clean_mask

    def loss(params):
        noised = noised_latents(schedule, x0, noise, t, clean)
        prediction = model.apply(params, noised, t.astype(jnp.float32), conditions, method="denoise_windowed")
        frames = jnp.where(clean, 0, t[:, None])
        seen = {"noised": noised, "v": prediction, "x0_hat": schedule.to_x0(noised, prediction, frames)}
        losses = denoising_loss(schedule, x0, noise, t, prediction, clean_mask=clean, kind="x0_snr")
        return jnp.mean(losses), seen

    return jax.value_and_grad(loss, has_aux=True)(params)


@functools.cache
def run(name: str):
    tensors = case(name)
    x0, noise = (jnp.asarray(channels_last(tensors[key])) for key in ("in.x0", "in.noise"))
    t = jnp.broadcast_to(jnp.asarray(tensors["in.timestep"], jnp.int32), x0.shape[:1])
    clean = clean_frames(tensors, x0.shape[0])
    (loss, seen), gradients = loss_and_gradients(
        *params_of(name), x0, noise, t, Conditions(jnp.asarray(tensors["in.text"]), tracks(tensors), clean)
    )
    return float(loss), seen, to_state(gradients, RULES)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_the_original_s(name):
    loss, seen, _ = run(name)
    tensors = case(name)
    np.testing.assert_allclose(loss, tensors["out.loss"][0], rtol=bounds()["loss (relative)"])
    for key, value in seen.items():
        want = channels_last(tensors[f"mid.{key}"])
        np.testing.assert_allclose(value, want, rtol=0, atol=bounds()["network out.v / out.x0"], err_msg=key)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_norm_of_every_weight_is_the_original_s(name):
    _, _, gradients = run(name)
    norms = {k.removeprefix("gradnorm."): v for k, v in case(name).items() if k.startswith("gradnorm.")}
    assert set(norms) == set(gradients)
    for key, want in norms.items():
        ours = np.linalg.norm(gradients[key].astype(np.float64))
        np.testing.assert_allclose(ours, want.item(), rtol=bounds()["gradnorm.* (relative)"], err_msg=key)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_vectors_are_the_original_s(name):
    _, _, gradients = run(name)
    wanted = {k.removeprefix("grad."): v for k, v in case(name).items() if k.startswith("grad.")}
    assert wanted
    for key, want in wanted.items():
        atol = bounds()["grad.* (relative to the tensor maximum)"] * np.abs(want).max()
        np.testing.assert_allclose(gradients[key], want, rtol=0, atol=atol, err_msg=key)
