"""Folders that version 0.1.0.dev0 at a8629db wrote, before networks were declared by specs, go on working.

`files/previous_version.tar.xz` holds shards of four clips, a run of two steps on them of MTV at its smallest size, the
pipeline folder that it left, a sound, and the video that the pipeline then made of it (seed 5, 3 steps, guidance 2).
"""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mtv_jax import Pipeline, train
from mtv_jax.training.configs import differences, load_train_config, train_config
from mtv_jax.training.export import export
from mtv_jax.training.metrics import read_metrics

FILES = Path(__file__).parent / "files"
CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "denoiser.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("previous")
    with tarfile.open(FILES / "previous_version.tar.xz") as archive:
        archive.extractall(target, filter="data")
    return target / "previous_version"


def saved_config(folder):
    """The config in the run's checkpoint."""
    return json.loads((folder / "run/checkpoints/2/run/metadata").read_text())["config"]


def flags(folder):
    """The keys that the run was given on the command line."""
    overrides = saved_config(folder)["model"]["overrides"]
    return {
        "model.overrides": str(overrides),
        "data.batch_size": "2",
        "data.text_length": "24",
        "num_steps": "3",
        "checkpoint.every": "1",
        "checkpoint.keep": "1",
        "optimizer.warmup_steps": "1",
        "sample.every": "0",
        "compilation_cache": "",
        "data.dir": str(folder / "shards"),
    }


def test_its_pipeline_makes_the_same_video(folder):
    pipe = Pipeline.from_pretrained(folder / "run")
    made = pipe(
        "a rabbit",
        speech=folder / "speech.wav",
        seed=5,
        num_inference_steps=3,
        guidance_scale=2.0,
        progress=False,
    )
    with np.load(folder / "video.npz") as stored:
        np.testing.assert_allclose(
            np.asarray(made.frames).astype(int), stored["frames"], atol=1
        )  # a rounding's tie
        np.testing.assert_allclose(made.audio[:, :1], stored["audio"], atol=1e-6)


def test_its_checkpoint_exports_to_the_same_weights(folder, tmp_path):
    (folder / "run/checkpoints/2").stat()
    config = saved_config(folder)
    assert not list(differences(config, config))
    # The run names its shards by a path relative to where it ran.
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        export(folder / "run", tmp_path / "pipeline")
    for part in ("transformer/diffusion_pytorch_model", "controlnet/model", "vae/diffusion_pytorch_model"):
        file = f"{part}.safetensors"
        assert (tmp_path / "pipeline" / file).read_bytes() == (folder / "run/pipeline" / file).read_bytes()


def test_its_config_is_that_of_the_same_command_today(folder):
    now = load_train_config(str(CONFIG), flags(folder))
    train_config(now.to_dict())
    saved = saved_config(folder)
    identity = json.loads(json.dumps(now.to_dict()))
    identity["data"]["shards"] = saved["data"]["shards"]
    assert not list(differences(saved, identity))


@pytest.mark.slow
def test_its_run_goes_on(folder):
    argv = [f"--config.{key}={value}" for key, value in flags(folder).items()]
    assert train.main(["--config", str(CONFIG), "--workdir", str(folder / "run"), *argv]) == 0
    assert [line["step"] for line in read_metrics(folder / "run")] == [1, 2, 3]
