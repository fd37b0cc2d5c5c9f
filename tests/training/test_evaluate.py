"""`config.evaluate`: when a training is evaluated, what is logged, and what the figures depend on."""

import dataclasses
import os
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest
from pipeline_folders import SMALL
from processes import finish_processes, start_processes
from random_weights import scaled_weights

from mtv_jax import save_model, train
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id
from mtv_jax.data.shards import write_shards
from mtv_jax.evaluation.videos.manifest import read_manifest
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.jsonl import read_rows
from mtv_jax.io.video import probe, write_video
from mtv_jax.models.clip import CLIP, CLIPConfig
from mtv_jax.models.shapes import random_params
from mtv_jax.names import TRACKS
from mtv_jax.training.configs import train_config
from mtv_jax.training.held_out import open_held_out
from mtv_jax.training.job import set_up
from mtv_jax.training.loop import fit
from mtv_jax.training.metrics import read_metrics

CLIPS = 3
SHAPES = {"latents_mean": (2, 4, 4, 4), "latents_logvar": (2, 4, 4, 4), "text": (7, 8)}
SHAPES |= dict.fromkeys(TRACKS, (5, 2, 8))


def evaluated(make_job, seen=None, **changes):
    """A toy job that is evaluated every four steps."""

    def evaluate(step, params):
        if seen is not None:
            seen.append((step, jax.device_get(params)))
        return {"flicker.score": step / 8, "failures": 0}

    return dataclasses.replace(make_job(evaluate={"every": 4}, **changes), evaluate=evaluate)


def test_the_average_is_evaluated_at_every_steps_and_at_the_end(make_job):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen = []
    job = evaluated(make_job, seen, num_steps=6, optimizer={"ema_decay": 0.5})
    state = fit(job)
    assert [step for step, _ in seen] == [4, 6]
    jax.tree.map(np.testing.assert_array_equal, seen[-1][1], state.all_params(average=True))
    lines = read_metrics(job.workdir)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line.get("evaluate/flicker.score") for line in lines] == [None, None, None, 0.5, None, 0.75]
    events = EventAccumulator(str(job.workdir / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("evaluate/flicker.score")] == [(4, 0.5), (6, 0.75)]


def test_a_run_is_the_same_without_it_and_may_turn_it_on_when_it_goes_on(make_job, tmp_path):
    whole = make_job(num_steps=8, workdir=tmp_path / "whole")
    fit(whole)
    fit(make_job(num_steps=4))
    seen = []
    resumed = evaluated(make_job, seen, num_steps=8)
    fit(resumed)
    assert [step for step, _ in seen] == [8]
    losses = [[line["loss"] for line in read_metrics(job.workdir)] for job in (whole, resumed)]
    assert losses[0] == losses[1]


def record(number, arrays):
    source = ClipSource("noise.mp4", "0" * 64, number, number + 1, (1, 12), "CC0")
    name = clip_id(source.sha256, number, number + 1, (1, 12))
    return ClipRecord(name, f"prompt {number}", (12, 1), 5, 32, 32, source, arrays)


def latents(number):
    return record(number, {name: np.full(shape, number + 1, np.float16) for name, shape in SHAPES.items()})


def media(folder, number):
    """A clip with sound: brighter frames, higher tones."""
    write_video(folder / "clip.mp4", np.full((5, 32, 32, 3), 30 * number, np.uint8), Fraction(12))
    files = {"mp4": folder / "clip.mp4"}
    for name in TRACKS:
        files[name] = folder / f"{name}.flac"
        tone = 0.1 * np.sin(np.arange(6667) * 0.05 * (number + 1)).astype(np.float32)
        write_audio(files[name], tone, 16_000)
    return record(number, {name: np.frombuffer(path.read_bytes(), np.uint8) for name, path in files.items()})


@pytest.fixture(scope="module")
def data(pipeline_folder, tmp_path_factory):
    """A data set with a test split."""
    folder, scratch = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("scratch")
    write_shards(folder, [latents(n) for n in range(2)], kind="latents")
    write_shards(folder / "test", [latents(n) for n in range(CLIPS)], kind="latents")
    write_shards(folder / "test" / "media", [media(scratch, n) for n in range(CLIPS)], kind="media")
    shutil.copytree(pipeline_folder / "vae", folder / "encoders" / "vae")
    return folder


def config_of(folder, **evaluate):
    section = {
        "every": 2,
        "clips": 2,
        "metrics": "flicker,motion",
        "num_inference_steps": 1,
        "guidance_scale": 1.0,
    }
    return train_config(
        {
            "task": "denoiser",
            "num_steps": 2,
            "loss": {"scaling_factor": 1.0},
            "sample": {"every": 0},
            "checkpoint": {"every": 1},
            "model": {"name": "mtv", "variant": "tiny", "overrides": SMALL["mtv"]},
            "data": {"dir": str(folder), "batch_size": 2},
            "evaluate": section | evaluate,
        }
    )


@pytest.fixture(scope="module")
def setup(data):
    return set_up(config_of(data))


def test_figures_of_the_same_parameters_are_the_same_and_noise_is_of_the_row(setup, tmp_path):
    params = scaled_weights(setup.model)
    evaluate = train._evaluation(setup, tmp_path)
    assert evaluate is not None
    held_out, made = open_held_out(setup.config, setup.model, setup.task), []
    same_clip = dataclasses.replace(held_out, clips=2 * held_out.clips[:1])

    def make(params, row):
        made.append(same_clip.make(params, row))
        return made[-1]

    kept = dataclasses.replace(evaluate, make=make)
    before, after = kept(2, params), kept(4, params)
    # The same frames; their encoding to mp4 is not exact.
    assert before == pytest.approx(after, rel=0.02)
    assert before.keys() == {"flicker.score", "motion.flow", "failures"}
    assert before["failures"] == 0
    first, second, *again = made
    assert first.shape == (5, 32, 32, 3)
    np.testing.assert_array_equal(again, [first, second])
    assert (first != second).any()
    items = read_manifest(tmp_path / "evaluation" / "manifest.jsonl").items
    assert [item.prompt for item in items] == ["prompt 0", "prompt 1"]
    assert all(probe(item.video).has_audio for item in items)


def test_a_video_that_is_not_finite_is_counted_as_a_failure(setup, tmp_path):
    def make(_params, row):
        if row == 0:
            raise FloatingPointError("latents: NaN")
        return np.zeros((5, 32, 32, 3), np.uint8)

    evaluate = train._evaluation(setup, tmp_path)
    figures = dataclasses.replace(evaluate, make=make)(2, {})
    assert figures["failures"] == 1
    assert figures["flicker.score"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": "fliker"}, "config.evaluate.metrics fliker: unknown"),
        ({"metrics": "flicker,temp_c"}, "config.evaluate.metrics temp_c: needs "),
        ({"clips": 4}, "config.evaluate.clips 4: .*test has 3 clips"),
        ({"clips": 0}, "config.evaluate.clips 0: must be"),
        ({"every": -1}, "config.evaluate.every -1: must be"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_the_start(setup, data, tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        train._evaluation(dataclasses.replace(setup, config=config_of(data, **changes)), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_data_set_without_a_test_split_is_refused(setup, tmp_path):
    with pytest.raises(UserError, match=r"config\.evaluate\.every: .* has no held-out clips"):
        train._evaluation(dataclasses.replace(setup, config=config_of(tmp_path)), tmp_path)


def test_an_autoencoder_is_not_evaluated(setup, tmp_path):
    values = {"task": "vae", "num_steps": 1, "model": {"name": "vae3d", "variant": "tiny"}}
    values |= {"data": {"dir": "x", "batch_size": 1}, "evaluate": {"every": 1, "metrics": "flicker"}}
    with pytest.raises(UserError, match=r"config\.evaluate\.every: .* an autoencoder does not make"):
        train._evaluation(dataclasses.replace(setup, config=train_config(values)), tmp_path)


def flags_of(folder, workdir, **changes) -> list[str]:
    """Of the train command: three steps on a data set, evaluated every two."""
    values = {
        "model.overrides": SMALL["mtv"],
        "loss.scaling_factor": 1.0,
        "data.dir": folder,
        "data.batch_size": 2,
        "data.text_length": 24,
        "optimizer.warmup_steps": 1,
        "num_steps": 3,
        "sample.every": 0,
        "evaluate.every": 2,
        "evaluate.metrics": "flicker",
        "evaluate.clips": 2,
        "evaluate.num_inference_steps": 1,
        "compilation_cache": "",
    }
    config = Path(__file__).parents[2] / "configs" / "tiny" / "denoiser.py"
    flags = [f"--config.{key}={value}" for key, value in {**values, **changes}.items()]
    return ["--config", str(config), "--workdir", str(workdir), *flags]


@pytest.mark.slow
def test_two_processes_measure_once_and_have_the_figures_of_one(data, tmp_path):
    """With a network, which only the first process loads, while the videos are made by both on one mesh."""
    save_model(tmp_path / "weights" / "clip", model := CLIP(CLIPConfig.tiny()), random_params(model, 0))
    how = {"evaluate.metrics": "flicker,temp_c", "evaluate.weights": tmp_path / "weights", "mesh.data": -1}
    lines, rows = {}, {}
    for processes in (1, 2):
        devices = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={2 // processes}"
        workdir = tmp_path / f"of_{processes}"
        command = [sys.executable, "-m", "mtv_jax.train", *flags_of(data, workdir, **how)]
        for code, _, errors in finish_processes(
            start_processes([command] * processes, {"XLA_FLAGS": devices})
        ):
            assert code == 0, errors
        lines[processes] = read_metrics(workdir)
        rows[processes] = list(read_rows(workdir / "evaluation" / "measured" / "samples" / "1_of_1.jsonl"))
    assert len(rows[1]) == len(rows[2]) == 4
    for one, two in zip(lines[1], lines[2], strict=True):
        own = [name for name in one if name.startswith("evaluate/")]
        assert own == [name for name in two if name.startswith("evaluate/")]
        assert [two[name] for name in own] == pytest.approx([one[name] for name in own], rel=0.02)
    assert lines[2][-1]["evaluate/failures"] == 0
    assert "evaluate/temp_c.score" in lines[2][-1]


@pytest.mark.slow
def test_the_command_trains_the_same_with_and_without_it(data, tmp_path):
    def run(name, every):
        assert train.main(flags_of(data, tmp_path / name, **{"evaluate.every": every})) == 0
        return read_metrics(tmp_path / name)

    without, measured = run("without", 0), run("evaluated", 2)
    assert [line["loss"] for line in without] == [line["loss"] for line in measured]
    assert ["evaluate/flicker.score" in line for line in measured] == [False, True, True]
