"""Many videos at once: each row is what it would be alone, and only what is asked for changes."""

import dataclasses

import numpy as np
import pytest

from mtv_jax import Pipeline
from mtv_jax.data.transforms import to_unit
from mtv_jax.io.errors import UserError
from mtv_jax.sampling import batch
from mtv_jax.sampling.batch import Request, _batches, reconstruct_many, sample_many
from mtv_jax.sampling.generate import decode_latents

SAMPLES = round(5 * 16000 / 12)


@pytest.fixture(scope="module")
def pipe(pipeline_folder):
    return Pipeline.from_pretrained(pipeline_folder)


def tone(hertz):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(SAMPLES) / 16000)).astype(np.float32)


def request(row=0, seed=0, prompt="a stage", **tracks):
    return Request(prompt, {"speech": tone(150), **tracks}, seed, row)


@pytest.fixture(autouse=True)
def latents(monkeypatch):
    """Samples stay latents: they are compared more exactly, and the decoder need not be compiled."""
    monkeypatch.setattr(batch, "decode_latents", lambda _vae, _params, latents: np.asarray(latents))


def make(pipe, requests, batch_size=2):
    return list(sample_many(pipe, requests, num_steps=2, guidance_scale=2.0, batch_size=batch_size))


def test_rows_do_not_depend_on_their_batch(pipe):
    changed = {"music": tone(440)}, {"speech": tone(200)}
    requests = [request(), request(1), request(seed=1), *(request(**tracks) for tracks in changed)]
    together, alone = make(pipe, requests), make(pipe, requests, batch_size=1)
    for a, b in zip(together, alone, strict=True):
        assert a.shape == (2, 4, 4, 4)
        np.testing.assert_allclose(a, b, atol=1e-4)
    first, other_row, other_seed, other_music, other_speech = together
    for other in (other_row, other_seed):
        assert np.abs(first - other).max() > 1
    # The noise stays, whatever is heard: music, whose modulation begins at nought, changes nothing without training.
    np.testing.assert_array_equal(first, other_music)
    assert 0 < np.abs(first - other_speech).mean() < 0.5 * np.abs(first - other_row).mean()


def test_a_track_changes_its_own_condition_alone(pipe):
    conditions = batch._conditions(pipe, [request(), request(music=tone(440))])
    for name, values in conditions.items():
        assert values.shape[0] == 2
        assert bool((values[0] != values[1]).any()) == (name == "music"), name


def test_a_missing_track_is_silence(pipe):
    silent = np.zeros(SAMPLES, np.float32)
    conditions = batch._conditions(pipe, [request(effects=silent, music=silent), request()])
    for values in conditions.values():
        np.testing.assert_array_equal(values[0], values[1])


def test_batches_have_one_length():
    assert list(_batches("abcde", 2)) == [(["a", "b"], 2), (["c", "d"], 2), (["e", "e"], 1)]
    assert list(_batches("abc", 8)) == [(["a", "b", "c"], 3)]


def test_round_trip_is_encode_and_decode(pipe, monkeypatch):
    monkeypatch.setattr(batch, "decode_latents", decode_latents)
    videos = list(np.random.default_rng(0).integers(0, 255, (3, 5, 32, 32, 3), np.uint8))
    first, _, last = reconstruct_many(pipe, videos, batch_size=2)
    assert first.shape == videos[0].shape
    mean, _ = pipe.vae.apply(pipe.vae_params, to_unit(np.stack([videos[0], videos[2]])), method="encode")
    wanted = pipe.vae.apply(pipe.vae_params, mean, method="decode")
    wanted = np.clip((wanted + 1) * 127.5, 0, 255)
    np.testing.assert_allclose(np.stack([first, last]).astype(int), wanted, atol=1)


def test_a_pipeline_without_sound_is_refused(pipe):
    deaf = dataclasses.replace(pipe, audio_encoder=None)
    with pytest.raises(UserError, match="no controlnet"):
        make(deaf, [request()])
