"""The real command on the real tiny denoiser: killed and started again, it is as if it had not been."""

import json
import signal
import time

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
    # One layer is enough to be wrong in, and compiles sooner.
    "--config.model.overrides={'dit': {'num_layers': 1, 'max_text_seq_length': 8}}",
)


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


def test_killed_and_started_again_gives_the_same_losses(train, latent_shards, tmp_path):
    arguments = (*TINY, f"--config.data.dir={latent_shards}")
    whole = train(*arguments, "--workdir", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    workdir = tmp_path / "killed"
    process = train(*arguments, "--workdir", workdir, wait=False)
    saved = workdir / "checkpoints" / "4"
    wait_for(lambda: saved.exists() and len(lines(workdir)) >= 6, process)
    process.kill()
    process.communicate()
    assert len(lines(workdir)) < 12
    again = train(*arguments, "--workdir", workdir)
    assert again.returncode == 0, again.stderr
    assert "resumed from step" in again.stderr
    got, want = lines(workdir), lines(tmp_path / "whole")
    assert [line["step"] for line in got] == list(range(1, 13))
    assert [line["loss"] for line in got] == [line["loss"] for line in want]
    assert [line["grad_norm"] for line in got] == [line["grad_norm"] for line in want]


def test_sigterm_saves_and_exits_143_and_another_run_or_config_is_refused(train, latent_shards, tmp_path):
    arguments = (*TINY, f"--config.data.dir={latent_shards}", "--workdir", tmp_path / "run")
    process = train(*arguments, "--config.num_steps=100000", "--config.checkpoint.every=100000", wait=False)
    wait_for(lambda: len(lines(tmp_path / "run")) >= 2, process)
    second = train(*arguments)
    assert second.returncode == 2
    assert f"run: in use by process {process.pid} (on " in second.stderr
    assert second.stderr.count("\n") == 1
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=3600)
    assert process.returncode == 143, errors
    assert not (tmp_path / "run" / "lock.json").exists()
    step = int(next((tmp_path / "run" / "checkpoints").iterdir()).name)
    assert f"saved step {step}" in errors
    assert [line["step"] for line in lines(tmp_path / "run")] == list(range(1, step + 1))
    refused = train(*arguments, "--config.loss.drop_text=0.5")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "loss.drop_text (was 0.1, is 0.5)" in refused.stderr
