"""Guidance scales of 0: as without the condition."""

import jax.numpy as jnp
import numpy as np
import pytest
from pipeline_folders import conditions_of

from mtv_jax import Pipeline
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.pipelines.run import Encoded, GenerateConfig, audible, make_denoise, row_request, sample

NAMES = ("speech", "effects", "music")


@pytest.fixture(scope="module")
def pipe(pipeline_folder):
    return Pipeline.from_pretrained(pipeline_folder)


@pytest.fixture
def latents(monkeypatch):
    """Samples stay latents, so that the decoder need not be compiled."""
    monkeypatch.setattr(Pipeline, "decode", lambda _self, latents, _clip, *, tiled: map(np.asarray, latents))


def made(pipe, tracks, prompt="a stage", **scales):
    config = GenerateConfig(SamplerConfig("ddim", 2), guidance_scale=1.0, track_scales=tuple(scales.items()))
    (found,) = sample(pipe, [row_request(prompt, tracks, 0, 0)], pipe.defaults.clip, config)
    return found


def test_a_track_of_scale_0_is_silent(pipe, latents):
    """Bit for bit, whatever it sounds like, and whether it is silent by its sound or is not given."""
    noise = np.random.default_rng(0).normal(size=(3, 6667)).astype(np.float32)
    loud, silence = dict(zip(NAMES, noise, strict=True)), np.zeros(6667, np.float32)
    scales = {"text": 3.0, "effects": 2.0}
    off = made(pipe, loud, **scales, speech=0.0)
    rest = {name: loud[name] for name in ("effects", "music")}
    np.testing.assert_array_equal(off, made(pipe, rest | {"speech": silence}, **scales))
    np.testing.assert_array_equal(off, made(pipe, rest, **scales))
    np.testing.assert_array_equal(off, made(pipe, rest | {"speech": -loud["speech"]}, **scales, speech=0.0))
    assert np.abs(off - made(pipe, loud, **scales, speech=1.0)).max() > 0.01


def test_a_text_of_scale_0_says_nothing(pipe, latents):
    scales = {"text": 0.0, "speech": 2.0}
    a, b = (made(pipe, {}, prompt, **scales) for prompt in ("a stage", "two dogs run in the snow"))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - made(pipe, {}, "a stage", text=1.0, speech=2.0)).max() > 0


def test_without_a_scale_of_its_own_a_joint_scale_of_0_is_the_unconditional_video(pipe):
    config = GenerateConfig(SamplerConfig("ddim", 2), guidance_scale=0.0)
    request = row_request("a stage", {"speech": np.ones(10, np.float32)}, 0, 0)
    assert audible(request, config).tracks.keys() == {"speech"}
    assert config.groups(NAMES) == ([["text", *NAMES]], [0.0])


def test_an_absent_text_is_replaced_by_that_of_the_unconditional_branch(pipe):
    seen = []

    class Spy:
        tracks = NAMES

        def apply(self, params, x, t, conditions):
            seen.append(conditions.text)
            return x

    given = conditions_of(pipe, {})
    config = GenerateConfig(SamplerConfig(num_steps=2), guidance_scale=1.0, track_scales=(("text", 0.0),))
    x, t = np.zeros((1, 2, 4, 4, 4), np.float32), np.array([999.0], np.float32)
    for no_text in (None, jnp.ones_like(given.text)):
        make_denoise(Spy(), {}, Encoded(given, None, no_text), config)(x, t)
    assert not np.asarray(seen[0]).any()
    np.testing.assert_array_equal(seen[1], np.ones_like(seen[1]))
