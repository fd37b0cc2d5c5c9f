import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.guidance import guidance_groups, guidance_scale, guided
from mtv_jax.diffusion.noise.vp import Schedule, ScheduleConfig
from mtv_jax.diffusion.samplers import SamplerConfig, sampler_step, sampler_steps, start, step_at
from mtv_jax.io.errors import UserError

CONDITIONS = ("text", "speech", "effects", "music")


def denoiser(conditions):
    """A nonlinear network of x, t and the stacked conditions `[branches * b, 3]`."""

    def denoise(x, t):
        return jnp.tanh(
            x + sum(jnp.sin(c * (i + 1)) for i, c in enumerate(conditions.values())) + t[:, None] / 1000
        )

    return denoise


def stack_conditions(conditions, groups):
    """Text and tracks of all branches, by name."""
    given = Conditions(conditions["text"], {name: conditions[name] for name in CONDITIONS[1:]})
    stacked = given.for_guidance(groups)
    return {"text": stacked.text, **stacked.tracks}


@pytest.fixture(scope="module")
def inputs():
    keys = jax.random.split(jax.random.key(0), 5)
    x, *values = (jax.random.normal(k, (2, 3)) for k in keys)
    return x, jnp.array([500.0, 19.0]), dict(zip(CONDITIONS, values, strict=True))


def single(inputs, *names):
    """The network's answer with only these conditions present."""
    x, t, conditions = inputs
    return denoiser({k: v if k in names else jnp.zeros_like(v) for k, v in conditions.items()})(x, t)


def test_one_scale_is_plain_classifier_free_guidance(inputs):
    x, t, conditions = inputs
    stacked = stack_conditions(conditions, [CONDITIONS])
    out = guided(denoiser(stacked), guidance_scale("constant", 3.5))(x, t)
    u, c = single(inputs), single(inputs, *CONDITIONS)
    np.testing.assert_allclose(out, u + 3.5 * (c - u), atol=1e-5)


def test_scales_of_their_own_weigh_what_each_condition_adds(inputs):
    x, t, conditions = inputs
    groups, scales = guidance_groups({"text": 6.0, "speech": 4.0, "effects": 2.0, "music": 1.0})
    assert groups == [[name] for name in CONDITIONS]
    fns = [guidance_scale("constant", g) for g in scales]
    out = guided(denoiser(stack_conditions(conditions, groups)), *fns)(x, t)
    chain = [single(inputs, *CONDITIONS[:i]) for i in range(5)]
    expected = chain[0] + sum(g * (b - a) for g, a, b in zip(scales, chain[:-1], chain[1:], strict=True))
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_equal_scales_are_the_joint_case(inputs):
    x, t, conditions = inputs
    chain = guided(
        denoiser(stack_conditions(conditions, [[name] for name in CONDITIONS])),
        *[guidance_scale("constant", 6.0)] * 4,
    )
    joint = guided(denoiser(stack_conditions(conditions, [CONDITIONS])), guidance_scale("constant", 6.0))
    np.testing.assert_allclose(chain(x, t), joint(x, t), atol=1e-5)
    assert guidance_groups(dict.fromkeys(CONDITIONS, 6.0)) == ([list(CONDITIONS)], [6.0])


def test_neighbours_of_equal_scale_share_a_branch():
    groups, scales = guidance_groups({"text": 6.0, "speech": 6.0, "effects": 2.0, "music": 6.0})
    assert groups == [["text", "speech"], ["effects"], ["music"]]
    assert scales == [6.0, 2.0, 6.0]


def test_scale_one_is_the_conditional_answer_and_zero_the_unconditional(inputs):
    x, t, conditions = inputs
    stacked = stack_conditions(conditions, [CONDITIONS])
    for scale, names in ((1.0, CONDITIONS), (0.0, ())):
        out = guided(denoiser(stacked), guidance_scale("constant", scale))(x, t)
        np.testing.assert_allclose(out, single(inputs, *names), atol=1e-6)


@pytest.mark.parametrize("prediction", ["v", "epsilon", "sample"])
def test_guiding_the_prediction_is_guiding_x0(inputs, prediction):
    x, t, _ = inputs
    schedule, steps = Schedule.create(ScheduleConfig(prediction=prediction)), t.astype(jnp.int32)
    u, c = single(inputs), single(inputs, *CONDITIONS)
    u0, c0 = schedule.to_x0(x, u, steps), schedule.to_x0(x, c, steps)
    guided_x0 = schedule.to_x0(x, u + 3.5 * (c - u), steps)
    np.testing.assert_allclose(guided_x0, u0 + 3.5 * (c0 - u0), atol=2e-5)


def test_dynamic_scale_rises_from_one_to_one_plus_scale():
    scale = np.asarray(guidance_scale("dynamic", 6.0)(jnp.arange(1000.0)))
    assert (np.diff(scale) <= 0).all()
    assert scale[999] == pytest.approx(1, abs=1e-6)
    assert scale[0] == pytest.approx(7, abs=1e-3)
    assert scale[400] == pytest.approx(1 + 6 * (1 - math.cos(math.pi * 0.6**5)) / 2, rel=1e-6)


def test_diffusers_dynamic_scale_is_exact_at_its_huge_angles():
    scale = np.asarray(
        guidance_scale("dynamic_diffusers", 6.0, num_steps=50)(jnp.array([999.0, 479.0, 19.0]))
    )
    expected = [1 + 6 * (1 - math.cos(math.pi * ((50 - t) / 50) ** 5.0)) / 2 for t in (999, 479, 19)]
    np.testing.assert_allclose(scale, expected, atol=1e-5)


def test_errors_are_named(inputs):
    with pytest.raises(UserError, match="'linear'"):
        guidance_scale("linear", 6.0)
    with pytest.raises(UserError, match="guidance groups"):
        stack_conditions(inputs[2], [["text", "speech"]])


def test_text_is_led_away_from_another_text_and_pictures_are_in_all_branches():
    ones = jnp.ones((2, 3, 4))
    given = Conditions(ones, {"speech": ones}, jnp.array([[True], [False]]), 5 * ones)
    stacked = given.for_guidance([["text"], ["speech"]], no_text=7 * ones)
    np.testing.assert_array_equal(stacked.text[:, 0, 0], [7, 7, 1, 1, 1, 1])
    np.testing.assert_array_equal(stacked.tracks["speech"][:, 0, 0], [0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(stacked.clean_mask[:, 0], [True, False] * 3)
    np.testing.assert_array_equal(stacked.image, jnp.full((6, 3, 4), 5.0))


def test_guided_sampling_is_that_of_the_mtv_reference(mtv_goldens, reference_schedule, bounds):
    # The network's recorded answers are played back: what is tested is all around the network.
    scale = json.loads((mtv_goldens / "denoiser" / "config.json").read_text())["cfg_scale"]
    atol = bounds["sampler_cfg* out.x, mid.x_*, mid.x0_guided"]
    paths = sorted((mtv_goldens / "denoiser").glob("case_sampler_cfg*.safetensors"))
    assert paths
    for path in paths:
        play_back(load_file(path), Schedule.create(reference_schedule), scale, atol)


def play_back(golden, schedule, scale, atol):
    x, noise, recorded = jnp.asarray(golden["in.x_init"]), golden["in.noise"], golden["mid.v_uncond_cond"]
    config = SamplerConfig("dpm++", len(recorded))
    clean = ~golden["in.mask"]  # true is noisy in the files
    steps, state = sampler_steps(schedule, config), start(x, None, config)
    np.testing.assert_array_equal(steps.timestep, golden["sched.timesteps"])
    free = np.broadcast_to(~clean, x.shape[:2])
    for k in range(config.num_steps):
        network = guided(lambda x2, t2, k=k: jnp.asarray(recorded[k]), guidance_scale("constant", scale))
        step_noise = noise[min(k, len(noise) - 1)]  # the last step has none, and weighs it with 0
        state = sampler_step(network, state, step_at(steps, k), clean=(x, clean), noise=step_noise)
        np.testing.assert_allclose(state.x0, golden["mid.x0_guided"][k], rtol=0, atol=atol)
        np.testing.assert_allclose(state.x[free], golden["mid.x_after_step"][k][free], rtol=0, atol=atol)
    np.testing.assert_allclose(state.x, golden["out.x"], rtol=0, atol=atol)
