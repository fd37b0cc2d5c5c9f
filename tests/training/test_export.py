"""A finished training becomes a folder that samples."""

import numpy as np
import pytest
from pipelines import SIZE, SMALL

from mtv_jax import Pipeline, convert
from mtv_jax import train as command
from mtv_jax.curation.encoders import Encoders
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id
from mtv_jax.data.shards import write_shards
from mtv_jax.io.errors import UserError


@pytest.fixture(scope="module")
def shards(pipeline_folder, tmp_path_factory):
    """Four random clips that fit the smallest pipeline, its encoders beside them."""
    folder, rng = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)

    def record(i: int) -> ClipRecord:
        shapes = {"latents_mean": (2, 4, 4, 4), "latents_logvar": (2, 4, 4, 4), "text": (7, 8)}
        shapes |= dict.fromkeys(("speech", "effects", "music"), (5, 2, 8))
        arrays = {name: rng.normal(size=shape).astype(np.float16) for name, shape in shapes.items()}
        source = ClipSource("noise.mp4", "0" * 64, i, i + 1, (1, 12), "CC0")
        name = clip_id(source.sha256, i, i + 1, source.time_base)
        return ClipRecord(name, "noise", (12, 1), 5, 32, 32, source, arrays)

    write_shards(folder, [record(i) for i in range(4)], kind="latents")
    # Encoders that came with a model sampled otherwise.
    Encoders.from_pretrained(pipeline_folder).save(folder / "encoders", SIZE.replace(sampler="ddim"))
    return folder


@pytest.fixture(scope="module")
def workdir(shards, tmp_path_factory):
    """A training of four steps, sampled once."""
    path = tmp_path_factory.mktemp("run")
    arguments = [
        "--config=configs/tiny/denoiser.py",
        f"--workdir={path}",
        f"--config.data.dir={shards}",
        f"--config.model.overrides={SMALL['mtv']}",
        "--config.num_steps=4",
        "--config.data.batch_size=2",
        "--config.data.text_length=24",
        "--config.sample.every=4",
        "--config.sample.num_inference_steps=2",
        "--config.compilation_cache=",
    ]
    assert command.main(arguments) == 0
    return path


def test_a_training_directory_samples(workdir):
    pipe = Pipeline.from_pretrained(workdir)
    # As large as its clips, sampled as its own videos were.
    assert pipe.defaults == SIZE.replace(sampler="dpm++", num_inference_steps=2, guidance_scale=3.5)
    assert pipe("noise", progress=False).frames.shape == (5, 32, 32, 3)


def test_samples_are_written_while_it_trains(workdir):
    names = {path.name for path in (workdir / "samples").iterdir()}
    assert {"step_000004_sample.mp4", "step_000004_sample.gif"} <= names


def test_the_paper_s_stage_trains_samples_and_is_exported(shards, tmp_path):
    """MTV Eq. 1 and the paper's controlnet, by flags of a stage."""
    arguments = [
        "--config=configs/stage4.py:tiny",
        f"--workdir={tmp_path}",
        f"--config.data.dir={shards}",
        "--config.data.mixture.sound_event=0",
        "--config.model.variant=tiny_paper",
        f"--config.model.overrides={SMALL['mtv']}",
        "--config.loss.kind=mse",
        "--config.loss.schedule.prediction=epsilon",
        "--config.num_steps=2",
        "--config.data.batch_size=2",
        "--config.data.text_length=24",
        "--config.sample.every=0",
        "--config.sample.num_inference_steps=2",
        "--config.init_from=",
        "--config.compilation_cache=",
    ]
    assert command.main(arguments) == 0
    pipe = Pipeline.from_pretrained(tmp_path / "pipeline")
    assert pipe.schedule.config.prediction == "epsilon"
    assert pipe.denoiser.config.controlnet.separate_feed_forward
    frames = pipe("noise", progress=False).frames
    assert frames.shape == (5, 32, 32, 3)
    assert frames.std() > 0


def test_convert_writes_the_same_folder(workdir, tmp_path):
    convert.main(["--from", "train", "--in", str(workdir), "--out", str(tmp_path / "out")])
    written = "controlnet/model.safetensors"
    assert (tmp_path / "out" / written).read_bytes() == (workdir / "pipeline" / written).read_bytes()
    with pytest.raises(UserError, match="exists already"):
        convert.main(["--in", str(workdir), "--out", str(tmp_path / "out")])


def test_a_directory_without_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such directory"):
        convert.main(["--in", str(tmp_path), "--out", str(tmp_path / "out")])
