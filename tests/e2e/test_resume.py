"""The real command on a small text-to-video denoiser: killed and started again, it is as if it had not been."""

import json
import signal
import time

from front_doors import exit_code

from mtv_jax.train import main

TINY = (
    "--config",
    "configs/tiny/denoiser.py",
    "--config.num_steps=12",
    # So that the number of steps is no part of the program, which is then compiled once for all runs.
    "--config.optimizer.schedule=constant",
    "--config.checkpoint.every=4",
    "--config.sample.every=0",
    "--config.loss.scaling_factor=1.0",
    "--config.data.batch_size=2",
    "--config.data.text_length=8",
    # The loop is the same for all networks, and this one is traced and compiled soonest.
    "--config.model.name=dit",
    "--config.model.overrides={'num_layers': 1, 'max_text_seq_length': 8}",
)

UNCACHED = "--config.compilation_cache="
"""A command in this process leaves its compilation cache as it is."""


def lines(workdir):
    path = workdir / "metrics.jsonl"
    text = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in text if line.endswith("}")]


def wait_for(condition, process, seconds=3600):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_killed_and_started_again_gives_the_same_losses_and_sigterm_saves(
    train, latent_shards, tmp_path, capsys
):
    arguments = (*TINY, f"--config.data.dir={latent_shards}")
    whole = train(*arguments, "--workdir", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    workdir = tmp_path / "run"
    arguments = (*arguments, "--workdir", workdir)
    process = train(*arguments, wait=False)
    saved = workdir / "checkpoints" / "4"
    wait_for(lambda: saved.exists() and len(lines(workdir)) >= 6, process)
    process.kill()
    process.communicate()
    assert len(lines(workdir)) < 12

    # What may change when a run is resumed: it goes on until it is stopped, and saves nothing before.
    process = train(*arguments, "--config.num_steps=100000", "--config.checkpoint.every=100000", wait=False)
    wait_for(lambda: len(lines(workdir)) >= 12, process)
    assert exit_code(main, *arguments, UNCACHED) == 2
    in_use = capsys.readouterr().err
    assert f"run: in use by process {process.pid} (on " in in_use
    assert in_use.count("\n") == 1
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=3600)
    assert process.returncode == 143, errors
    assert "resumed from step" in errors
    assert not (workdir / "lock.json").exists()
    step = max(int(path.name) for path in (workdir / "checkpoints").iterdir())
    assert f"saved step {step}" in errors

    got, want = lines(workdir), lines(tmp_path / "whole")
    assert [line["step"] for line in got] == list(range(1, step + 1))
    assert [line["loss"] for line in got[:12]] == [line["loss"] for line in want]
    assert [line["grad_norm"] for line in got[:12]] == [line["grad_norm"] for line in want]

    assert exit_code(main, *arguments, UNCACHED, "--config.loss.drop_text=0.5") == 2
    refused = capsys.readouterr().err
    assert refused.count("\n") == 1
    assert "loss.drop_text (was 0.1, is 0.5)" in refused
