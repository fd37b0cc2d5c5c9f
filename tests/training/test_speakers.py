"""Models of one to four speakers: built, saved and read, trained, exported, and sampled from, each speaker apart."""

import functools
from typing import Any

import jax
import numpy as np
import pytest
from pipeline_folders import SMALL, make_small

from mtv_jax import Pipeline, curate, load_model, save_model
from mtv_jax import train as command
from mtv_jax.data.pipeline import make_dataset
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id
from mtv_jax.data.shards import open_shards, write_shards
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACK_RATE, control_tracks, speech_track
from mtv_jax.training import steps
from mtv_jax.training.build import make_task
from mtv_jax.training.configs import load_train_config, train_config
from mtv_jax.training.export import export
from mtv_jax.training.job import set_up
from mtv_jax.weights.rules import flat_paths

COUNTS = (1, 2, 3, 4)


def overrides_of(count):
    return SMALL["mtv"] | {"controlnet": SMALL["mtv"]["controlnet"] | {"num_speakers": count}}


@functools.cache
def network_of(count):
    return make_small("mtv", overrides=overrides_of(count))


@pytest.fixture(scope="module")
def config_of(tmp_path_factory):
    """Configs of trainings on shards that hold four speakers, of which a model reads those that it takes."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("speakers")

    def record(number):
        arrays = {name: rng.normal(size=(5, 2, 8)) for name in control_tracks(4)}
        arrays |= {"latents_mean": rng.normal(size=(2, 4, 4, 4)), "text": rng.normal(size=(24, 8))}
        arrays["latents_logvar"] = np.full((2, 4, 4, 4), -6.0)
        source = ClipSource("noise.mp4", "0" * 64, number, number + 1, (1, 12), "CC0")
        name = clip_id(source.sha256, number, number + 1, source.time_base)
        arrays = {key: value.astype(np.float16) for key, value in arrays.items()}
        return ClipRecord(name, "noise", (12, 1), 5, 32, 32, source, arrays)

    write_shards(folder, [record(i) for i in range(4)], kind="latents")

    def config(count):
        return train_config(
            {
                "task": "denoiser",
                "num_steps": 1,
                "model": {"name": "mtv", "variant": "tiny", "overrides": overrides_of(count)},
                "loss": {"scaling_factor": 1.0},
                "data": {"dir": str(folder), "batch_size": 2, "text_length": 24},
                "optimizer": {"learning_rate": 0.1, "schedule": "constant"},
            }
        )

    return config


def of(config):
    """The model, the task and the first batch of a config."""
    model, task = make_task(config)
    reading = config.data.pipeline(task.keys, 0)
    return model, task, next(iter(make_dataset(open_shards(config.data.dir), reading)))


@pytest.mark.parametrize("count", COUNTS)
def test_a_step_reads_and_trains_every_speaker(config_of, count):
    config = config_of(count)
    _, task, batch = of(config)
    assert set(task.keys) == {"latents_mean", "latents_logvar", "text", *control_tracks(count)}
    shapes = jax.eval_shape(steps.make_init(task, config.optimizer, 1, 0, batch))
    step = steps.make_step(task, config.optimizer, 1, 0)
    after, _ = jax.eval_shape(step, shapes, batch)
    assert after == shapes
    last = speech_track(count)
    silent = {name: value for name, value in batch.items() if name != last}
    with pytest.raises(KeyError, match=last):
        jax.eval_shape(step, shapes, silent)
    injections = {path.split("/")[3] for path in flat_paths(after.params) if "/attn_" in path}
    assert injections == {f"attn_{name}" for name in control_tracks(count)[:-1]}


def test_shards_for_another_number_of_speakers_are_refused(config_of):
    set_up(config_of(4))
    with pytest.raises(UserError, match=r"of 4 speaker\(s\), and the network takes 2; .*num_speakers=4"):
        set_up(config_of(2))


@pytest.mark.parametrize("count", COUNTS)
def test_weights_of_any_number_of_speakers_are_saved_and_read(count, tmp_path):
    model, params = network_of(count)
    save_model(tmp_path, model, params)
    read, again = load_model(tmp_path)
    assert read.config == model.config
    before, after = flat_paths(params), flat_paths(again)
    assert before.keys() == after.keys()
    assert sum("speaker_embedding" in path for path in after) == (count if count > 1 else 0)
    for path, value in after.items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)


def test_speakers_differ_by_their_weights_only():
    """Who has which number does not matter: identities are the embeddings and each speaker's injection."""
    model, params = network_of(4)
    rng, names = np.random.default_rng(1), control_tracks(4)
    params = jax.tree.map(lambda x: x, params)
    for i in range(4):
        params["params"]["controlnet"][f"speaker_embedding_{i}"] = rng.normal(size=8).astype(np.float32)
    tracks = {name: rng.normal(size=(1, 5, 2, 8)).astype(np.float32) for name in names}
    latents, text = rng.normal(size=(1, 2, 4, 4, 4)), rng.normal(size=(1, 24, 8))
    order = [2, 0, 3, 1]

    @jax.jit
    def apply(params, tracks):
        given = Conditions(text.astype(np.float32), tracks)
        return model.apply(params, latents.astype(np.float32), np.array([500.0]), given)

    spoken = {speech_track(i + 1): tracks[speech_track(old + 1)] for i, old in enumerate(order)}
    exchanged = jax.tree.map(lambda x: x, params)
    control = exchanged["params"]["controlnet"]
    layer = exchanged["params"]["transformer"]["blocks"]["injection"]
    own, injection = dict(control), dict(layer)
    for i, old in enumerate(order):
        control[f"speaker_embedding_{i}"] = own[f"speaker_embedding_{old}"]
        for part in ("attn", "norm"):
            layer[f"{part}_{speech_track(i + 1)}"] = injection[f"{part}_{speech_track(old + 1)}"]
    out = apply(params, tracks)
    np.testing.assert_allclose(apply(exchanged, tracks | spoken), out, atol=2e-5)
    assert np.abs(apply(params, tracks | spoken) - out).max() > 1e-3


def test_configs_of_stages_take_a_number_of_speakers():
    config: Any = load_train_config("configs/stage3.py:tiny,speakers=4")
    assert config.model.overrides.to_dict() == {"controlnet": {"num_speakers": 4}}
    assert config.init_from == "runs/stage2-tiny-speakers=4"
    assert config.data.dir == "runs/tiny/theatre-speakers=4"
    one: Any = load_train_config("configs/stage3.py:tiny")
    assert one.model.overrides.to_dict() == {}
    assert one.data.dir == "runs/tiny/theatre"


def test_the_recipe_trains_everything_of_every_speaker():
    recipe: Any = load_train_config("configs/stage3.py:speakers=4")
    config = train_config(
        {
            "task": "denoiser",
            "num_steps": 1,
            "model": {"name": "mtv", "variant": "tiny", "overrides": overrides_of(4)},
            "loss": {"scaling_factor": 1.0},
            "data": {"dir": "shards", "batch_size": 1, "text_length": 24},
            "optimizer": {"trainable": tuple(recipe.optimizer.trainable)},
        }
    )
    _, task = make_task(config)
    shapes = {"latents_mean": (2, 4, 4, 4), "latents_logvar": (2, 4, 4, 4), "text": (24, 8)}
    shapes |= dict.fromkeys(control_tracks(4), (5, 2, 8))
    batch = {name: jax.ShapeDtypeStruct((1, *shape), np.float16) for name, shape in shapes.items()}
    state = jax.eval_shape(steps.make_init(task, config.optimizer, 1, 0, batch))
    assert not [path for path in flat_paths(state.frozen) if "speech" in path or "speaker" in path]
    assert "controlnet/speaker_embedding_3" in flat_paths(state.params)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_each_speaker_s_part_learns(config_of, count):
    config = config_of(count)
    _, task, batch = of(config)
    state = steps.make_init(task, config.optimizer, 1, 0, batch)()
    after, metrics = jax.jit(steps.make_step(task, config.optimizer, 1, 0))(state, batch)
    assert np.isfinite(float(metrics["loss"]))
    before, now = flat_paths(state.params), flat_paths(after.params)
    for speaker in range(count):
        path = f"transformer/blocks/injection/attn_{speech_track(speaker + 1)}/to_v/kernel"
        assert np.abs(now[path] - before[path]).max() > 0, path
        path = f"controlnet/speaker_embedding_{speaker}"
        assert np.abs(now[path]).max() > 0, path


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4])
def test_from_the_theatre_to_a_video(pipeline_folder, tmp_path, count):
    """Shards, a step of a stage, an exported pipeline, and a video with a sound for each person."""
    shards, run, folder = (tmp_path / name for name in ("shards", "run", "pipeline"))
    options = ["--encoders", str(pipeline_folder), "--clips", "8", "--speakers", str(count)]
    curate.main(["theatre", "--out", str(shards), *options])
    flags = {
        "data.dir": shards,
        "data.batch_size": 2,
        "data.text_length": 24,
        "num_steps": 1,
        "init_from": "",
        "sample.every": 0,
        "loss.scaling_factor": 1.0,
        "data.mixture.multiple_characters": 0,
        "compilation_cache": "",
    }
    for part, fields in SMALL["mtv"].items():
        flags |= {f"model.overrides.{part}.{name}": value for name, value in fields.items()}
    argv = ["--config", f"configs/stage3.py:tiny,speakers={count}", "--workdir", str(run)]
    command.main([*argv, *(f"--config.{key}={value}" for key, value in flags.items())])
    export(run, folder)
    pipe = Pipeline.from_pretrained(folder)
    assert pipe.tracks == control_tracks(count)
    voices = {}
    for person in range(1, count + 1):
        voices[speech_track(person)] = tmp_path / f"{person}.wav"
        tone = 0.3 * np.sin(2 * np.pi * (100 + 40 * person) * np.arange(TRACK_RATE) / TRACK_RATE)
        write_audio(voices[speech_track(person)], tone.astype(np.float32), TRACK_RATE)
    how = {"num_inference_steps": 2, "progress": False}
    video = pipe("Person1 talks", tracks=voices, guidance_scale={"text": 2.0, "speech": 1.5}, **how)
    assert video.frames.shape == (5, 32, 32, 3)
