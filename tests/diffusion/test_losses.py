import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from mtv_jax.diffusion.losses import denoising_loss, frame_timesteps, noised_latents, stratified_timesteps
from mtv_jax.diffusion.noise.vp import Schedule, ScheduleConfig
from mtv_jax.io.errors import UserError

SHAPE = (3, 4, 2, 2, 3)


@pytest.fixture(scope="module")
def draws():
    return jax.random.normal(jax.random.key(0), (3, *SHAPE))


def test_training_loss_is_that_of_the_mtv_reference(mtv_goldens, reference_schedule, bounds):
    paths = sorted((mtv_goldens / "denoiser").glob("case_loss_*.safetensors"))
    assert paths
    schedule, atol = Schedule.create(reference_schedule), bounds["sampler n*.x_* (toy)"]
    for path in paths:
        golden = load_file(path)
        # The files hold b f c h w, and masks that are true for noisy frames.
        names = ("in.x0", "in.noise", "mid.v", "mid.noised", "mid.x0_hat")
        x0, noise, v, noised, x0_hat = (jnp.moveaxis(golden[name], 2, -1) for name in names)
        clean = jnp.asarray(~golden["in.mask"]) if "in.mask" in golden else None
        t = jnp.asarray(golden["in.timestep"]).astype(jnp.int32)
        x = noised_latents(schedule, x0, noise, t, clean)
        np.testing.assert_allclose(x, noised, rtol=0, atol=atol, err_msg=path.name)
        estimate = schedule.to_x0(x, v, frame_timesteps(t, clean))
        np.testing.assert_allclose(estimate, x0_hat, rtol=0, atol=atol, err_msg=path.name)
        loss = denoising_loss(schedule, x0, noise, t, v, clean_mask=clean, kind="x0_snr")
        np.testing.assert_allclose(
            loss, golden["out.loss"], rtol=bounds["loss (relative)"], err_msg=path.name
        )


@pytest.mark.parametrize("prediction", ["v", "epsilon", "sample"])
def test_equation_one_is_the_mean_square_against_the_target(draws, prediction):
    x0, noise, guess = draws
    schedule = Schedule.create(ScheduleConfig(prediction=prediction))
    t = jnp.array([0, 421, 999])
    a = schedule.alphas_cumprod[t].reshape(3, 1, 1, 1, 1)
    target = {"v": jnp.sqrt(a) * noise - jnp.sqrt(1 - a) * x0, "epsilon": noise, "sample": x0}[prediction]
    loss = denoising_loss(schedule, x0, noise, t, guess)
    assert loss.shape == (3,)
    np.testing.assert_allclose(loss, ((target - guess) ** 2).mean((1, 2, 3, 4)), rtol=1e-6)
    np.testing.assert_allclose(denoising_loss(schedule, x0, noise, t, target), 0, atol=1e-12)


def test_snr_weighting_of_v_is_the_v_loss_without_clean_frames(draws):
    x0, noise, guess = draws
    schedule, t = Schedule.create(), jnp.array([30, 421, 999])
    weighted, plain = (denoising_loss(schedule, x0, noise, t, guess, kind=k) for k in ("x0_snr", "mse"))
    np.testing.assert_allclose(weighted, plain, rtol=1e-4)


def test_snr_weighting_of_epsilon_divides_by_the_signal(draws):
    x0, noise, guess = draws
    schedule, t = Schedule.create(ScheduleConfig(prediction="epsilon")), jnp.array([30, 421, 800])
    weighted, plain = (denoising_loss(schedule, x0, noise, t, guess, kind=k) for k in ("x0_snr", "mse"))
    np.testing.assert_allclose(weighted, plain / schedule.alphas_cumprod[t], rtol=1e-4)


def test_clean_frames_are_left_out_of_equation_one_and_kept_in_the_reference_loss(draws):
    x0, noise, guess = draws
    schedule, t = Schedule.create(), jnp.array([500, 600, 700])
    clean = jnp.zeros((3, 4), bool).at[:, 0].set(True)
    changed = guess.at[:, 0].add(3.0)

    def loss(prediction, kind):
        return denoising_loss(schedule, x0, noise, t, prediction, clean_mask=clean, kind=kind)

    np.testing.assert_array_equal(loss(guess, "mse"), loss(changed, "mse"))
    np.testing.assert_allclose(
        loss(guess, "mse"), denoising_loss(schedule, x0[:, 1:], noise[:, 1:], t, guess[:, 1:]), rtol=1e-6
    )
    assert (np.abs(loss(guess, "x0_snr") - loss(changed, "x0_snr")) > 1e-6).all()
    every = jnp.ones((3, 4), bool)
    np.testing.assert_array_equal(denoising_loss(schedule, x0, noise, t, guess, clean_mask=every), 0)


def test_clean_frames_are_noised_at_timestep_zero(draws):
    x0, noise, _ = draws
    schedule = Schedule.create()
    clean = jnp.zeros((3, 4), bool).at[1, 2].set(True)
    x = noised_latents(schedule, x0, noise, jnp.array([500, 600, 700]), clean)
    first = schedule.sqrt_alphas_cumprod[0]
    np.testing.assert_allclose(first, 0.99957, atol=1e-5)
    expected = first * x0[1, 2] + schedule.sqrt_one_minus_alphas_cumprod[0] * noise[1, 2]
    np.testing.assert_allclose(x[1, 2], expected, atol=1e-6)
    np.testing.assert_array_equal(x[0], noised_latents(schedule, x0, noise, jnp.array([500, 0, 0]))[0])


def test_the_weight_of_little_noise_is_bounded_on_request(draws):
    x0, noise, guess = draws
    schedule, t = Schedule.create(ScheduleConfig(prediction="sample")), jnp.array([1, 421, 999])
    weights = 1 / (1 - np.asarray(schedule.alphas_cumprod, np.float64)[np.asarray(t)])
    assert weights[0] > 100 > 5 > weights[1]
    for motion, extra in (
        (0.0, 0.0),
        (2.0, np.asarray(2 * (jnp.diff(guess - x0, axis=1) ** 2).mean((1, 2, 3, 4)))),
    ):
        plain = np.asarray(((guess - x0) ** 2).mean((1, 2, 3, 4))) + extra
        for bound, want in ((None, weights), (5.0, np.minimum(weights, 5)), (1e6, weights)):
            given = {"kind": "x0_snr", "motion_weight": motion, "max_weight": bound}
            loss = denoising_loss(schedule, x0, noise, t, guess, **given)
            np.testing.assert_allclose(loss, want * plain, rtol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["mse", "x0_snr"])
def test_what_moves_in_the_error_is_weighed_and_added(draws, kind, masked):
    x0, noise, guess = (np.asarray(x, np.float64) for x in draws)
    schedule, t = Schedule.create(), np.array([200, 421, 700])
    clean = np.zeros((3, 4), bool)
    if masked:
        clean[:2, 0] = clean[1, 2] = True
    a = np.asarray(schedule.alphas_cumprod, np.float64)[np.where(clean, 0, t[:, None])][..., None, None, None]
    error = np.sqrt(a) * noise - np.sqrt(1 - a) * x0 - guess
    if kind == "mse":
        error *= ~clean[..., None, None, None]
        scale = np.ones(3)
    else:
        # The clean latents that v predicts are sqrt(a) x - sqrt(1 - a) v.
        error *= np.sqrt(1 - a)
        scale = 1 / (1 - np.asarray(schedule.alphas_cumprod, np.float64)[t])
    want = scale * ((error[:, 1:] - error[:, :-1]) ** 2).mean((1, 2, 3, 4))

    def loss(weight):
        mask = jnp.asarray(clean) if masked else None
        x0, noise, prediction = draws
        given = (schedule, x0, noise, jnp.asarray(t), prediction)
        return denoising_loss(*given, clean_mask=mask, kind=kind, motion_weight=weight)

    np.testing.assert_allclose(loss(1.0) - loss(0.0), want, rtol=2e-3)
    np.testing.assert_allclose(loss(3.0) - loss(0.0), 3 * want, rtol=2e-3)


def test_an_error_that_stands_still_does_not_move(draws):
    x0, noise, guess = draws
    schedule, t = Schedule.create(), jnp.array([30, 421, 999])
    target = schedule.target(x0, noise, t)
    still = target + guess[:, :1]
    for frames in (4, 1):
        plain, weighed = (
            denoising_loss(schedule, x0[:, :frames], noise[:, :frames], t, still[:, :frames], motion_weight=w)
            for w in (0.0, 10.0)
        )
        assert (plain > 0.1).all()
        np.testing.assert_allclose(plain, weighed, rtol=1e-5)


@pytest.mark.parametrize("kind", ["mse", "x0_snr"])
def test_one_latent_frame_does_not_move(draws, kind):
    x0, noise, guess = draws[:, :, :1]
    schedule, t = Schedule.create(), jnp.array([30, 421, 999])
    mask = jnp.array([[True], [False], [False]])
    for clean in (None, mask):
        plain, weighed = (
            denoising_loss(schedule, x0, noise, t, guess, clean_mask=clean, kind=kind, motion_weight=w)
            for w in (0.0, 10.0)
        )
        np.testing.assert_array_equal(plain, weighed)


@pytest.mark.parametrize("kind", ["mse", "x0_snr"])
def test_bfloat16_predictions_are_compared_in_float32(draws, kind):
    x0, noise, guess = draws
    schedule, t = Schedule.create(), jnp.array([100, 421, 999])
    half = guess.astype(jnp.bfloat16)
    loss = denoising_loss(schedule, x0, noise, t, half, kind=kind)
    assert loss.dtype == jnp.float32
    same = denoising_loss(schedule, x0, noise, t, half.astype(jnp.float32), kind=kind)
    np.testing.assert_array_equal(loss, same)


def test_unknown_loss_is_named(draws):
    x0, noise, guess = draws
    with pytest.raises(UserError, match="'huber'"):
        denoising_loss(Schedule.create(), x0, noise, jnp.zeros(3, int), guess, kind="huber")


def test_timesteps_fill_every_stratum_of_the_global_batch_once():
    draw = jax.jit(lambda key: stratified_timesteps(key, 40, Schedule.create()))
    t = np.asarray(draw(jax.random.key(3)))
    assert sorted(t // 25) == list(range(40))
    assert t.dtype == np.int32
    uneven = np.sort(stratified_timesteps(jax.random.key(3), 7, Schedule.create()))
    assert (uneven >= np.floor(np.arange(7) / 7 * 1000)).all()
    assert (uneven < np.ceil(np.arange(1, 8) / 7 * 1000)).all()


def test_each_position_of_the_batch_sees_all_timesteps():
    keys, schedule = jax.random.split(jax.random.key(0), 4000), Schedule.create()
    draws = np.asarray(jax.vmap(lambda k: stratified_timesteps(k, 4, schedule))(keys))
    # Uniform on 0..999: mean 499.5, variance (1000**2 - 1) / 12; five standard errors.
    error = 5 * np.sqrt((1000**2 - 1) / 12 / 4000)
    np.testing.assert_allclose(draws.mean(0), 499.5, atol=error)
    assert (draws.min(0) < 10).all()
    assert (draws.max(0) > 989).all()
