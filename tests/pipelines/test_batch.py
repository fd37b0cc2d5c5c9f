"""Many videos at once: each row is what it would be alone, and only what is asked for changes."""

import jax
import numpy as np
import pytest
from pipeline_folders import write_cogvideox

from mtv_jax import Pipeline
from mtv_jax.data.transforms import to_unit
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.io.errors import UserError
from mtv_jax.ops.seeds import seed_key
from mtv_jax.pipelines.run import (
    GenerateConfig,
    Request,
    batches,
    check_follows_sound,
    reconstruct,
    row_request,
    sample,
)

SAMPLES = round(5 * 16000 / 12)


@pytest.fixture(scope="module")
def pipe(pipeline_folder):
    return Pipeline.from_pretrained(pipeline_folder)


def tone(hertz):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(SAMPLES) / 16000)).astype(np.float32)


def request(row=0, seed=0, prompt="a stage", **tracks):
    return row_request(prompt, {"speech": tone(150), **tracks}, seed, row)


@pytest.fixture
def latents(monkeypatch):
    """Samples stay latents: they are compared more exactly, and the decoder need not be compiled."""
    monkeypatch.setattr(Pipeline, "decode", lambda _self, pieces, _clip, *, tiled: map(np.asarray, pieces))


def make(pipe, requests, batch_size=2, sampler="ddim"):
    config = GenerateConfig(SamplerConfig(sampler, 2), guidance_scale=2.0)
    return list(sample(pipe, requests, pipe.defaults.clip, config, batch_size=batch_size))


@pytest.mark.parametrize("sampler", ["ddim", "dpm++"])
def test_rows_do_not_depend_on_their_batch(pipe, latents, sampler):
    changed = {"music": tone(440)}, {"speech": tone(200)}
    requests = [request(), request(1), request(seed=1), *(request(**tracks) for tracks in changed)]
    together, alone = (make(pipe, requests, size, sampler) for size in (2, 1))
    for a, b in zip(together, alone, strict=True):
        assert a.shape == (2, 4, 4, 4)
        np.testing.assert_allclose(a, b, atol=1e-4)
    first, other_row, other_seed, other_music, other_speech = together
    for other in (other_row, other_seed):
        assert np.abs(first - other).max() > 1
    # The noise stays, whatever is heard: music, whose modulation begins at zero, changes nothing without training.
    np.testing.assert_array_equal(first, other_music)
    assert 0 < np.abs(first - other_speech).mean() < 0.5 * np.abs(first - other_row).mean()


def test_a_call_is_a_batch_of_one(pipe, tmp_path):
    noise_key, step_key = jax.random.split(seed_key(3))
    made = pipe("a stage", num_inference_steps=2, guidance_scale=2.0, seed=3, progress=False).frames
    (frames,) = make(pipe, [Request("a stage", {}, noise_key, step_key)], 1, "dpm++")
    np.testing.assert_array_equal(frames, made)


def encode(pipe, *requests):
    return pipe.encode(requests, pipe.defaults.clip)


def test_a_track_changes_its_own_condition_alone(pipe):
    conditions = encode(pipe, request(), request(music=tone(440))).conditions
    np.testing.assert_array_equal(conditions.text[0], conditions.text[1])
    for name, values in conditions.tracks.items():
        assert values.shape[0] == 2
        assert bool((values[0] != values[1]).any()) == (name == "music"), name


def test_a_missing_track_is_silence(pipe):
    silent = np.zeros(SAMPLES, np.float32)
    conditions = encode(pipe, request(effects=silent, music=silent), request()).conditions
    for values in conditions.tracks.values():
        np.testing.assert_array_equal(values[0], values[1])


def test_each_row_has_its_own_negative_prompt_and_keyframes(pipe):
    key, picture = jax.random.key(0), np.full((32, 32, 3), 200, np.uint8)
    rows = [
        Request("a stage", {}, key, key),
        Request("a stage", {}, key, key, negative_prompt="a dog", keyframes={0: picture}),
    ]
    plain, both = encode(pipe, rows[0]), encode(pipe, *rows)
    assert plain.no_text is None
    assert plain.keyframes is None
    assert plain.conditions.clean_mask is None
    assert not both.no_text[0].any()
    assert both.no_text[1].any()
    np.testing.assert_array_equal(both.conditions.clean_mask, [[False, False], [True, False]])
    assert not both.keyframes[0].any()
    assert both.keyframes[1, 0].any()


def test_batches_have_one_length():
    assert list(batches("abcde", 2)) == [(["a", "b"], 2), (["c", "d"], 2), (["e", "e"], 1)]
    assert list(batches("abc", 8)) == [(["a", "b", "c"], 3)]


def test_round_trip_is_encode_and_decode(pipe):
    videos = list(np.random.default_rng(0).integers(0, 255, (3, 5, 32, 32, 3), np.uint8))
    first, _, last = reconstruct(pipe, videos, batch_size=2)
    assert first.shape == videos[0].shape
    mean, _ = pipe.vae.apply(pipe.vae_params, to_unit(np.stack([videos[0], videos[2]])), method="encode")
    wanted = pipe.vae.apply(pipe.vae_params, mean, method="decode")
    wanted = np.clip((wanted + 1) * 127.5, 0, 255)
    np.testing.assert_allclose(np.stack([first, last]).astype(int), wanted, atol=1)


def test_a_pipeline_without_sound_or_of_a_picture_is_refused(tmp_path):
    deaf = Pipeline.from_pretrained(write_cogvideox(tmp_path / "t2v"))
    with pytest.raises(UserError, match="no controlnet"):
        check_follows_sound(deaf)
    pictures = Pipeline.from_pretrained(write_cogvideox(tmp_path / "i2v", image_to_video=True))
    with pytest.raises(UserError, match="first frame"):
        check_follows_sound(pictures)
