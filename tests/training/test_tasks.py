"""The losses, with models whose answers are known."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.masks import KeyframeConfig
from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACKS, control_tracks
from mtv_jax.training.tasks import (
    DenoiserLossConfig,
    VAELossConfig,
    denoiser_task,
    drop_conditions,
    sample_posterior,
    vae_task,
)

KEY = jax.random.key(0)


class Shift(nn.Module):
    """An autoencoder that adds `shift` to what it decodes; its posterior is N(x, exp(logvar))."""

    logvar: float = -60.0

    def setup(self):
        self.shift = self.param("shift", nn.initializers.zeros, ())

    def encode(self, video):
        return video, jnp.full_like(video, self.logvar)

    def decode(self, latents):
        return latents + self.shift


def video(moving):
    steps = np.arange(5) * (20 if moving else 0)
    return {"video": np.broadcast_to(steps[:, None, None, None], (2, 5, 4, 4, 3)).astype(np.uint8)}


def test_the_autoencoder_is_charged_for_distance_and_spread():
    task = vae_task(Shift(), VAELossConfig(kind="mse", kl_weight=0.0))
    params = task.init(KEY, video(False))
    loss, _ = task.loss({"params": {"shift": jnp.float32(0.5)}}, video(False), KEY)
    assert float(loss) == pytest.approx(0.25, rel=1e-3)
    loss, metrics = task.loss(params, video(True), KEY)
    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    unit = vae_task(Shift(logvar=0.0), VAELossConfig())
    _, metrics = unit.loss(params, {"video": np.full((1, 5, 4, 4, 3), 127.5)}, KEY)
    assert float(metrics["kl"]) == pytest.approx(0.0, abs=1e-6)


def test_what_moves_is_weighed_apart():
    class Still(Shift):
        def decode(self, latents):
            return jnp.broadcast_to(latents[:, :1], latents.shape) + self.shift

    params = {"params": {"shift": jnp.zeros(())}}
    for weight in (0.0, 2.0):
        task = vae_task(Still(), VAELossConfig(kl_weight=0.0, motion_weight=weight))
        loss, metrics = task.loss(params, video(True), KEY)
        assert float(metrics["motion"]) == pytest.approx(20 / 127.5, rel=1e-4)
        assert float(loss) == pytest.approx(float(metrics["reconstruction"]) + weight * 20 / 127.5, rel=1e-4)
        assert float(task.loss(params, video(False), KEY)[0]) == pytest.approx(0.0, abs=1e-6)


class Blank(Shift):
    """Decodes to black everywhere, so that a frame costs what it shows."""

    def decode(self, latents):
        return jnp.zeros_like(latents) + self.shift - 1


def test_of_each_clip_one_frame_is_seen():
    task = vae_task(Blank(), VAELossConfig(kl_weight=0.0, motion_weight=1.0, single_frames=True))
    params = task.init(KEY, video(True))
    # Frames of 0, 20 ... 80 beside 100, 120 ... 180 of 255: the mean of two tells which were drawn.
    steps = np.stack([np.arange(5) * 20, 100 + np.arange(5) * 20])
    clips = {"video": np.broadcast_to(steps[..., None, None, None], (2, 5, 4, 4, 3)).astype(np.uint8)}
    losses = jax.jit(jax.vmap(lambda key: task.loss(params, clips, key)))(jax.random.split(KEY, 2000))
    costs = np.asarray(losses[0]) * 127.5
    assert not np.asarray(losses[1]["motion"]).any()
    pairs = (np.arange(5)[:, None] * 20 + 100 + np.arange(5) * 20) / 2
    assert np.abs(costs[:, None, None] - pairs).min((1, 2)).max() < 1e-3
    # Every frame of both clips is as likely, apart from the other's: sums of two fair dice of five sides.
    counts = [np.mean(np.abs(costs - 50 - 10 * total) < 1e-3) for total in range(9)]
    np.testing.assert_allclose(counts, np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25, atol=0.04)


def test_frames_that_are_not_seen_change_nothing():
    task = vae_task(Blank(), VAELossConfig(kl_weight=0.0, single_frames=True))
    params = task.init(KEY, video(True))
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (1, 5, 4, 4, 3), np.uint8)
    loss, _ = task.loss(params, {"video": clips}, KEY)
    matter = []
    for frame in range(5):
        other = clips.copy()
        other[:, frame] = 255 - other[:, frame]
        matter.append(float(task.loss(params, {"video": other}, KEY)[0]) != float(loss))
    assert sum(matter) == 1


def test_a_clip_of_one_frame_costs_the_same_either_way():
    clips = {"video": np.random.default_rng(0).integers(0, 256, (2, 1, 4, 4, 3), np.uint8)}
    tasks = [
        vae_task(Blank(), VAELossConfig(kl_weight=1e-3, single_frames=single)) for single in (False, True)
    ]
    params = tasks[0].init(KEY, clips)
    (plain, _), (single, _) = (task.loss(params, clips, KEY) for task in tasks)
    assert float(plain) == pytest.approx(float(single), rel=1e-6)


def test_the_posterior_is_sampled_with_its_spread():
    draw = sample_posterior(KEY, jnp.full((1, 1, 64, 64, 4), 3.0), jnp.full((1, 1, 64, 64, 4), np.log(4.0)))
    assert float(draw.mean()) == pytest.approx(3.0, abs=0.05)
    assert float(draw.std()) == pytest.approx(2.0, abs=0.05)


def kept_of(config, tracks):
    """What `drop_conditions` leaves of 4000 samples of ones, by name."""
    ones = jnp.ones((4000, 1))
    left = drop_conditions(KEY, Conditions(ones, dict.fromkeys(tracks, ones)), tracks, config)
    return {"text": left.text, **left.tracks}


def test_conditions_are_dropped_as_often_as_configured_and_tracks_together():
    config = DenoiserLossConfig(drop_text=0.1, drop_tracks=0.3, drop_music=0.5)
    kept = {name: np.asarray(x)[:, 0] for name, x in kept_of(config, TRACKS).items()}
    assert kept["text"].mean() == pytest.approx(0.9, abs=0.02)
    assert kept["speech"].mean() == pytest.approx(0.7, abs=0.03)
    assert kept["music"].mean() == pytest.approx(0.35, abs=0.03)
    np.testing.assert_array_equal(kept["speech"], kept["effects"])
    assert not kept["music"][kept["speech"] == 0].any()
    assert np.corrcoef(kept["text"], kept["speech"])[0, 1] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("track", ["speech", "effects", "music"])
def test_one_track_alone_can_be_dropped(track):
    config = DenoiserLossConfig(drop_text=0.0, drop_tracks=0.0, **{f"drop_{track}": 0.25})
    kept = {name: np.asarray(x).mean() for name, x in kept_of(config, TRACKS).items()}
    assert kept.pop(track) == pytest.approx(0.75, abs=0.03)
    assert set(kept.values()) == {1.0}


def test_each_speaker_alone_can_be_dropped_as_often_as_speech():
    config = DenoiserLossConfig(drop_text=0.0, drop_tracks=0.0, drop_speech=0.25)
    kept = kept_of(config, control_tracks(2))
    assert set(kept) == {"text", "speech", "speech2", "effects", "music"}
    assert {name: round(float(x.mean()), 1) for name, x in kept.items() if x.mean() < 1} == {
        "speech": pytest.approx(0.75, abs=0.06),
        "speech2": pytest.approx(0.75, abs=0.06),
    }
    assert np.abs(kept["speech"] - kept["speech2"]).max() == 1  # each by a draw of its own


class Spy(nn.Module):
    """Predicts zeros, and remembers what it was given."""

    tracks: tuple[str, ...] = TRACKS
    seen: ClassVar = []

    @nn.compact
    def __call__(self, latents, timesteps, conditions):
        self.param("p", nn.initializers.zeros, ())
        Spy.seen.append((latents, timesteps, conditions.tracks, conditions.clean_mask))
        return jnp.zeros_like(latents)


def test_what_moves_counts_in_the_denoiser_s_loss():
    given = batch()
    losses = []
    for weight in (0.0, 0.5, 1.0):
        task = denoiser_task(Spy(), DenoiserLossConfig(scaling_factor=1.0, motion_weight=weight))
        params = task.init(KEY, given)
        losses.append(float(task.loss(params, given | task.draw(KEY, 64), KEY)[0]))
    assert losses[0] < losses[1]
    assert losses[2] - losses[0] == pytest.approx(2 * (losses[1] - losses[0]), rel=1e-4)


def batch():
    rng = np.random.default_rng(0)
    shapes = {"latents_mean": (3, 2, 2, 16), "latents_logvar": (3, 2, 2, 16), "text": (5, 8)}
    shapes |= {name: (9, 4, 6) for name in ("speech", "effects", "music")}
    return {name: rng.normal(size=(64, *shape)).astype(np.float32) for name, shape in shapes.items()}


def test_the_denoiser_sees_scaled_noised_latents_and_pays_for_the_velocity():
    config = DenoiserLossConfig(scaling_factor=0.5, kind="mse")
    task = denoiser_task(Spy(), config)
    given = batch() | task.draw(KEY, 64)
    given["latents_logvar"][:] = -60
    params = task.init(KEY, batch())
    Spy.seen.clear()
    loss, _ = task.loss(params, given, KEY)
    latents, timesteps, audio, clean = Spy.seen[0]
    assert clean is None
    assert set(audio) == {"speech", "effects", "music"}
    assert timesteps.dtype == jnp.float32
    # One of each 64th of the timesteps, and a mean of v**2 between that of x0 (.25) and of noise (1).
    np.testing.assert_allclose(np.sort(timesteps), (np.arange(64) + 0.5) * 1000 / 64, atol=500 / 64 + 1)
    assert 0.25 < float(loss) < 1.0
    nearly_clean = int(np.argmin(timesteps))
    np.testing.assert_allclose(latents[nearly_clean], 0.5 * given["latents_mean"][nearly_clean], atol=0.7)


def test_the_noise_is_another_draw_than_the_posterior_s():
    task = denoiser_task(Spy(), DenoiserLossConfig(scaling_factor=1.0, kind="mse"))
    given = {name: np.zeros_like(x) for name, x in batch().items()} | task.draw(KEY, 64)
    params = task.init(KEY, batch())
    Spy.seen.clear()
    task.loss(params, given, KEY)
    latents, timesteps, *_ = Spy.seen[0]
    # Both are standard normal, so what the network sees is too, at every level of noise; were they one draw, it would
    # be (sqrt(abar) + sqrt(1 - abar)) times as wide, 1.41 in the middle.
    middle = np.asarray(latents)[np.argsort(timesteps)[8:40]]
    assert middle.std() == pytest.approx(1.0, abs=0.05)


def test_a_denoiser_without_sound_and_keyframes():
    config = DenoiserLossConfig(
        scaling_factor=1.0, keyframes=KeyframeConfig(image_head=1.0, **dict.fromkeys(_OTHERS, 0.0))
    )
    task = denoiser_task(Spy(()), config)
    params = task.init(KEY, batch())
    Spy.seen.clear()
    task.loss(params, batch() | task.draw(KEY, 64), KEY)
    _, _, audio, clean = Spy.seen[0]
    assert audio == {}
    np.testing.assert_array_equal(clean, np.array([[True, False, False]] * 64))
    assert task.keys == ("latents_mean", "latents_logvar", "text")


_OTHERS = (
    "random",
    "image_tail",
    "image_head_tail",
    "interpolate",
    "quarter_random",
    "quarter_head",
    "quarter_tail",
    "quarter_head_tail",
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DenoiserLossConfig(drop_text=1.5), "loss.drop_text 1.5"),
        (lambda: DenoiserLossConfig(schedule=ScheduleConfig(prediction="epsilon")), "use loss.kind 'mse'"),
        (lambda: VAELossConfig(kind="l3"), "must be 'l1' or 'mse'"),
    ],
)
def test_losses_that_cannot_be_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
