"""The MTV denoiser gives the numbers of the authors' code."""

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mtv_goldens import (
    bounds,
    case,
    cases,
    channels_last,
    checkpoint,
    clean_frames,
    load,
    num_speakers,
    params_of,
    schedule_of,
    tracks,
)

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.noise.vp import Schedule, ScheduleConfig, nearest_level
from mtv_jax.io.errors import UserError
from mtv_jax.models.mst_controlnet import frame_windows
from mtv_jax.models.mst_controlnet.model import AudioProjection
from mtv_jax.models.mtv import MTV
from mtv_jax.weights.mtv_sat import RULES
from mtv_jax.weights.rules import to_state

FORWARD = cases("in.x", "out.v")
SINGLE = [name for name in FORWARD if num_speakers(case(name)) == 1]


@functools.partial(jax.jit, static_argnums=0)
def denoise(model, params, *args):
    """Prediction and intermediates."""
    return model.apply(params, *args, method="denoise_windowed", mutable=["intermediates"])


def inputs(tensors):
    latents = jnp.asarray(channels_last(tensors["in.x"]))
    batch = latents.shape[0]
    timesteps = jnp.broadcast_to(jnp.asarray(tensors["in.timestep"]), (batch,))
    text = jnp.asarray(tensors["in.text"])
    return latents, timesteps, Conditions(text, tracks(tensors), clean_frames(tensors, batch))


@functools.cache
def run(name: str):
    prediction, seen = denoise(*params_of(name), *inputs(case(name)))
    return np.asarray(prediction), seen["intermediates"]


def bound(name: str, key: str) -> float:
    """Absolute: a case's own, or that of all cases."""
    for label, prefix in (
        (f"{name} {key}", key),
        (f"{name} mid.interaction*", "mid.interaction"),
        ("network out.v / out.x0", "out."),
        ("mid.audio_proj.*", "mid.audio_proj"),
        ("mid.interaction*", "mid.interaction"),
        ("mid.time_embed*", "mid.time_embed"),
        ("network mid.* (block0/last block, std about 1..5)", "mid."),
    ):
        if label in bounds() and key.startswith(prefix):
            return bounds()[label]
    raise KeyError(key)


@pytest.mark.parametrize("name", FORWARD)
def test_prediction_is_the_original_s(name):
    prediction, _ = run(name)
    want = channels_last(case(name)["out.v"])
    np.testing.assert_allclose(prediction, want, rtol=0, atol=bound(name, "out.v"))


@pytest.mark.parametrize("name", FORWARD)
def test_every_intermediate_is_the_original_s(name):
    tensors, (_, seen) = case(name), run(name)
    wanted = {key for key in tensors if key.startswith("mid.")} - {"mid.sqrt_alphabar_quantised"}
    ours = named_intermediates(seen, num_speakers(tensors))
    assert wanted <= set(ours)
    for key in wanted:
        want = tensors[key]
        np.testing.assert_allclose(
            ours[key].reshape(want.shape), want, rtol=0, atol=bound(name, key), err_msg=key
        )


@pytest.mark.parametrize("name", [n for n in FORWARD if "out.x0" in case(n)])
def test_clean_latents_are_the_original_s(name):
    tensors, (prediction, _) = case(name), run(name)
    schedule = Schedule.create(schedule_of(ScheduleConfig.released()))
    level = nearest_level(schedule.config, tensors["in.sqrt_alphabar"].astype(np.float64) ** 2)
    quantised = schedule.sqrt_alphas_cumprod[level]
    atol = bounds()["sampler sqrt_alphabar*"]
    np.testing.assert_allclose(quantised, tensors["mid.sqrt_alphabar_quantised"], rtol=0, atol=atol)
    levels = jnp.broadcast_to(jnp.asarray(level), prediction.shape[:1])
    x0 = schedule.to_x0(jnp.asarray(channels_last(tensors["in.x"])), jnp.asarray(prediction), levels)
    np.testing.assert_allclose(
        x0, channels_last(tensors["out.x0"]), rtol=0, atol=bounds()["network out.v / out.x0"]
    )


def named_intermediates(seen: dict, speakers: int) -> dict[str, np.ndarray]:
    """What our modules sowed, under the goldens' names."""
    named: dict[str, np.ndarray] = {}
    kinds = ("speech", "speech2")[:speakers]
    controlnet, transformer = seen["controlnet"], seen["transformer"]
    for track, value in zip((*kinds, "effects", "music"), controlnet["projected"][0], strict=True):
        named[f"mid.audio_proj.{track}"] = value
    for track, layers in zip((*kinds, "effects"), controlnet["blocks"]["out"][0], strict=True):
        named |= {f"mid.interaction{i}.{track}": value for i, value in enumerate(layers)}
    for ours, theirs in (("sinusoid", "time_sinusoid"), ("embedding", "time_embed")):
        times = transformer["time_embedding"][ours]
        # The controlnet asks for the time's embedding, then the backbone, then it asks for timestep 0's.
        named |= {f"mid.{theirs}": times[0], f"mid.{theirs}_t0": times[-1]}
    blocks = transformer["blocks"]
    joined = {"self_attn_out": blocks["self_attn_out"][0], "out": blocks["out"][0]}
    for theirs, (text, video) in joined.items():
        for i, parts in enumerate(zip(text, video, strict=True)):
            named[f"mid.block{i}.{theirs}"] = np.concatenate(parts, axis=1)
    single = {
        "img_after_self_attn": blocks["video_after_self_attn"],
        "img_after_style": blocks["video_after_injection"],
        "mlp_out": blocks["ff_out"],
    } | {f"cross_{track}_out": blocks["injection"][f"cross_{track}"] for track in (*kinds, "effects")}
    for theirs, (layers,) in single.items():
        named |= {f"mid.block{i}.{theirs}": value for i, value in enumerate(layers)}
    named["mid.block0.in"] = np.concatenate(transformer["embedded"][0], axis=1)
    named["mid.final_layernorm_out"] = np.concatenate(transformer["final_norm"][0], axis=1)
    return {key: np.asarray(value) for key, value in named.items()}


def test_audio_projection_takes_any_number_of_frames():
    lengths = 0
    for name in cases("in.features_F*"):
        tensors = case(name)
        model, params = load(1)
        projection = AudioProjection(model.config.controlnet)
        own = {"params": params["params"]["controlnet"]["speech"]}
        for key in (key for key in tensors if key.startswith("in.features_")):
            frames = key.removeprefix("in.features_")
            ours: Any = projection.apply(own, jnp.asarray(tensors[key]))
            want = tensors[f"out.tokens_{frames}"]
            np.testing.assert_allclose(ours, want, rtol=0, atol=bounds()["mid.audio_proj.*"], err_msg=key)
            lengths += 1
    assert lengths


@pytest.mark.parametrize("speakers", [1, 2])
def test_checkpoint_round_trip_is_exact(speakers):
    _, params = load(speakers)
    state = checkpoint(speakers)
    back = to_state(params, RULES)
    ignored = set(state) - set(back)
    assert len(ignored) <= 3, ignored
    for key, tensor in back.items():
        np.testing.assert_array_equal(tensor, state[key], err_msg=key)


def test_scanned_and_unscanned_layers_agree_to_the_last_bits():
    name = SINGLE[0]
    scanned, _ = denoise(*load(1), *inputs(case(name)))
    unscanned, _ = denoise(*load(1, scan_layers=False), *inputs(case(name)))
    np.testing.assert_allclose(scanned, unscanned, rtol=0, atol=2e-6 * np.abs(scanned).max())


def test_bfloat16_stays_close():
    name = SINGLE[0]
    model, params = params_of(name)
    prediction, _ = denoise(MTV(model.config, dtype=jnp.bfloat16), params, *inputs(case(name)))
    want = channels_last(case(name)["out.v"])
    assert prediction.dtype == jnp.float32
    assert np.abs(prediction - want).max() < 2e-2 * np.abs(want).max()


def test_windows_are_clamped_at_the_ends():
    features = jnp.arange(4.0).reshape(1, 4, 1, 1)
    windows = np.asarray(frame_windows(features, 5))[0, :, :, 0, 0]
    np.testing.assert_array_equal(windows[0], [0, 0, 0, 1, 2])
    np.testing.assert_array_equal(windows[3], [1, 2, 3, 3, 3])


def test_missing_track_is_named():
    model, params = load(1)
    latents, timesteps, conditions = inputs(case(SINGLE[0]))
    speech = {"speech": conditions.tracks["speech"]}
    with pytest.raises(UserError, match="tracks speech: this model takes exactly speech, effects, music"):
        model.apply(params, latents, timesteps, replace(conditions, tracks=speech), method="denoise_windowed")
