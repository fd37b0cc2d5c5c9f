"""`python -m mtv_jax.train`: what it says and makes, and how it reports errors."""

import json

import pytest

from mtv_jax import train as command
from mtv_jax.io.errors import UserError
from mtv_jax.training.workdir import run_name

VAE = ("--config", "configs/vae.py:tiny", "--config.data.batch_size=2", "--config.num_steps=4")


def test_the_autoencoder_trains_and_shows_reconstructions(train, frame_shards, tmp_path):
    done = train(
        *VAE,
        *("--config.sample.every", "4"),
        # Two levels compile sooner than four.
        "--config.model.overrides={'block_out_channels': (8, 8), 'temporal_compression_ratio': 2}",
        *(f"--config.data.dir={frame_shards}", "--workdir", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "run") in done.stdout
    assert "step 4/4 loss" in done.stderr
    assert "Traceback" not in done.stderr
    assert "WARNING" not in done.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {"reconstruction", "motion", "kl", "psnr"} <= lines[-1].keys()
    assert (tmp_path / "run" / "samples" / "step_000004_sample.mp4").stat().st_size > 0


def test_help_lists_the_keys_of_a_config_with_their_values(capsys):
    assert command.main(["--config", "configs/vae.py:tiny", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--config.data.batch_size=8" in shown
    assert "--config.optimizer.learning_rate=0.003" in shown
    assert "--workdir" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config", "configs/nowhere.py"), "configs/nowhere.py: no such file"),
        (("--config", "configs/vae.py:big"), "configs/vae.py:big: unknown argument 'big'; known are: tiny"),
        (("--config", "README.md"), "a config is a Python file"),
        ((*VAE, "--config.optim.learning_rat=1"), "did you mean config.optimizer.learning_rate?"),
        ((*VAE, "--config.batch_size=1"), "did you mean config.data.batch_size?"),
        ((*VAE, "--config.data.batch_size=two"), "config.data.batch_size='two': must be a whole number"),
        ((*VAE, "--config.data.batch_size=1.5"), "must be a whole number"),
        ((*VAE, "--config.data=1"), "config.data: a section"),
        ((*VAE, "--config.seed=a"), "must be a whole number"),
        (("--config", "configs/vae.py"), "config.data.dir: not given; add --config.data.dir=VALUE"),
        ((*VAE, "--config.data.dir=nowhere"), "nowhere: no such directory"),
        ((*VAE, "--config.data.dir=x", "--config.mesh.data=3"), "needs 3 device"),
        ((*VAE, "--config.data.dir=x", "--config.data.batch_size=0"), "batch size 0"),
        ((*VAE, "--config.data.dir=x", "--config.model.variant=huge"), "variant 'huge': unknown"),
        ((*VAE, "--config.data.dir=x", "--config.model.overrides={'x': 1}"), "vae3d.x: no such field"),
        ((*VAE, "--config.data.dir=x", "--config.model.dtype=int8"), "must be one of float32, bfloat16"),
        ((*VAE, "--config.task=gan"), "must be one of denoiser, vae"),
        (
            ("--config", "configs/tiny/denoiser.py", "--config.model.name=vae3d"),
            "the task 'denoiser' trains mtv or dit",
        ),
        (
            ("--config", "configs/tiny/denoiser.py", "--config.model.remat=all"),
            "must be one of none, block, dots, offload",
        ),
        (
            ("--config", "configs/tiny/denoiser.py", "--config.sample.num_inference_steps=0"),
            "must be at least 1",
        ),
        ((*VAE, "--config.optimizer.lr_factors=('.*', 0.1)"), "not a pair"),
    ],
)
def test_an_error_is_one_line(arguments, message, tmp_path):
    with pytest.raises(UserError) as caught:
        command.main([*arguments, "--config.compilation_cache=", "--workdir", str(tmp_path / "run")])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("configs/stage3.py:tiny", "stage3-tiny"),
        ("configs/tiny/vae.py", "tiny/vae"),
        ("/home/configs/checkout/configs/tiny/vae.py", "tiny/vae"),
        ("elsewhere/mine.py", "mine"),
        ("configs.py", "configs"),
        ("configs/stage3.py:tiny,batch_size=4", "stage3-tiny-batch_size=4"),
    ],
)
def test_a_run_is_named_by_its_config(spec, name):
    assert run_name(spec) == name


def test_an_error_exits_with_2_and_shows_no_traceback(train, tmp_path):
    done = train(*VAE, "--config.nun_steps=5", "--workdir", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr == "error: config.nun_steps: unknown key; did you mean config.num_steps?\n"


def test_without_data_the_bundled_clip_is_used(train, tmp_path):
    arguments = [
        *("--config", "configs/tiny/denoiser.py", "--config.num_steps=2", "--config.data.batch_size=1"),
        "--config.model.overrides={'dit': {'num_layers': 1}}",
        *("--config.sample.every=0", "--workdir", tmp_path / "run"),
    ]
    done = train(*arguments)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "run/pipeline/controlnet/model.safetensors").exists()
