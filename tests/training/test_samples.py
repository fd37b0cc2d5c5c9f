"""Samples during training: how little of them is on a device at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pipeline_folders import SIZE, SMALL

from mtv_jax.curation.encoders import Encoders
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id
from mtv_jax.data.shards import open_shards, write_shards
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.vae3d import VAE3DConfig, streaming
from mtv_jax.training import samples
from mtv_jax.training.build import make_task
from mtv_jax.training.configs import train_config


def write_clips(folder, kind, arrays, frames=5):
    """Three clips, each filled with its number."""

    def record(i):
        filled = {name: np.full(shape, i + 1, dtype) for name, (shape, dtype) in arrays.items()}
        source = ClipSource("noise.mp4", "0" * 64, i, i + 1, (1, 12), "CC0")
        return ClipRecord(
            clip_id(source.sha256, i, i + 1, (1, 12)), "noise", (12, 1), frames, 32, 32, source, filled
        )

    write_shards(folder, [record(i) for i in range(3)], kind=kind)
    return open_shards(folder)


@pytest.fixture(scope="module")
def latent_shards(pipeline_folder, tmp_path_factory):
    """Latents, text and sound that fit the smallest pipeline, its encoders beside them."""
    folder = tmp_path_factory.mktemp("latents")
    shapes = {"latents_mean": (2, 4, 4, 4), "latents_logvar": (2, 4, 4, 4), "text": (7, 8)}
    shapes |= dict.fromkeys(("speech", "effects", "music"), (5, 2, 8))
    shards = write_clips(folder, "latents", {name: (shape, np.float16) for name, shape in shapes.items()})
    Encoders.from_pretrained(pipeline_folder).save(folder / "encoders", SIZE.clip)
    return shards, folder


def config_of(task, name, folder, dtype, loss):
    values = {"task": task, "num_steps": 4, "loss": loss, "sample": {"every": 2}}
    values["model"] = {"name": name, "variant": "tiny", "overrides": SMALL[name], "dtype": dtype}
    values["data"] = {"dir": str(folder), "batch_size": 2}
    return train_config(values)


@pytest.fixture
def chunks(monkeypatch):
    """What the decoder is given; it makes black frames at once."""
    seen = []

    def decode_chunk(model, params, latents, cache, alone):
        seen.append((model, params, latents))
        frames, height, width = latents.shape[1:4]
        ratio, cell = model.config.temporal_compression_ratio, model.config.spatial_compression_ratio
        frames = ratio * frames - (ratio - 1 if alone else 0)
        return jnp.zeros((1, frames, height * cell, width * cell, 3)), None

    monkeypatch.setattr(streaming, "decode_chunk", decode_chunk)
    return seen


def test_one_clip_is_generated_and_decoded_in_the_models_dtype(latent_shards, chunks, monkeypatch):
    shards, folder = latent_shards
    config = config_of("denoiser", "mtv", folder, "bfloat16", {"scaling_factor": 1.0})
    model, task = make_task(config)
    given = []

    def generate(model, params, conditions, noise, *_):
        given.append((model, params, conditions, noise))
        return noise

    monkeypatch.setattr(samples, "generate", generate)
    sample = samples.make_sample_fn(config, model, task, shards)
    assert not chunks  # nothing is decoded before there is something to show
    frames, fps = sample(2, {"params": "all"})
    sample(4, {"params": "all"})
    assert frames.shape == (5, 2 * 32, 32, 3)  # the clip above what was made
    assert frames.dtype == np.uint8
    assert fps == 12
    denoiser, params, encoded, noise = given[0]
    assert denoiser is model
    assert denoiser.dtype == jnp.bfloat16
    assert params == {"params": "all"}
    # The first of three clips, alone.
    assert {x.shape[0] for x in (*jax.tree.leaves(encoded), noise)} == {1}
    assert set(np.unique(encoded.conditions.tracks["speech"])) == {1}
    # The clip of the shards once, and what was made at each of two steps: each in one chunk of two latents.
    assert [latents.shape for _, _, latents in chunks] == 3 * [(1, 2, 4, 4, 4)]
    for vae, vae_params, _ in chunks:
        assert vae.dtype == jnp.bfloat16
        assert {x.dtype for x in jax.tree.leaves(vae_params)} == {jnp.dtype(jnp.bfloat16)}


def test_between_samples_the_autoencoder_is_on_the_host(latent_shards):
    _, folder = latent_shards
    decoder = samples.Decoder.load(config_of("denoiser", "mtv", folder, "bfloat16", {"scaling_factor": 1.0}))
    assert all(type(x) is np.ndarray for x in jax.tree.leaves(decoder.params))


def test_a_full_size_clip_is_decoded_in_tiles_a_few_latents_at_a_time(chunks):
    vae = make_model("vae3d", make_config("vae3d", "cogvideox_5b"), dtype=jnp.bfloat16)
    frames = samples.Decoder(vae, {}).frames(np.zeros((1, 5, 60, 90, 16), np.float32))
    assert frames.shape == (17, 480, 720, 3)
    assert len(chunks) > 4
    for _, _, latents in chunks:
        assert all(n <= most for n, most in zip(latents.shape, (1, 3, 30, 45, 16), strict=True))


def test_small_pictures_are_decoded_whole():
    assert samples.decodes_in_tiles(VAE3DConfig.cogvideox_5b(), 60, 90)
    assert not samples.decodes_in_tiles(VAE3DConfig.tiny(), 8, 8)


def test_of_an_autoencoder_one_clip_is_shown_piece_by_piece(chunks, tmp_path, monkeypatch):
    shards = write_clips(tmp_path, "frames", {"video": ((17, 32, 32, 3), np.uint8)}, frames=17)
    config = config_of("vae", "vae3d", tmp_path, "bfloat16", {})
    model, task = make_task(config)
    encoded = []

    def encode_stream(model, params, video):
        encoded.append((model.dtype, video.shape))
        yield jnp.zeros((1, 3, 4, 4, 4)), None
        yield jnp.zeros((1, 2, 4, 4, 4)), None

    monkeypatch.setattr(samples, "encode_stream", encode_stream)
    frames, fps = samples.make_sample_fn(config, model, task, shards)(2, {})
    assert encoded == [(jnp.bfloat16, (1, 17, 32, 32, 3))]
    assert [latents.shape for _, _, latents in chunks] == [(1, 3, 4, 4, 4), (1, 2, 4, 4, 4)]
    assert fps == 12
    assert frames.shape == (17, 2 * 32, 32, 3)
    assert set(np.unique(frames[:, :32])) == {1}  # the first clip
