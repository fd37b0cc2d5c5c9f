"""Checkpoints: whole or not there, and what is said when they are damaged or the disk is full."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.training import checkpoint, failures, steps
from mtv_jax.training.checkpoint import Checkpoints, load_trained
from mtv_jax.training.loop import fit
from mtv_jax.training.metrics import read_metrics

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch):
    monkeypatch.setattr(failures, "RETRY_SECONDS", (0.0,))


def test_what_is_saved_is_the_state_of_that_step_though_training_goes_on(make_job, tmp_path):
    one = make_job(num_steps=4, checkpoint={"every": 4}, workdir=tmp_path / "one")
    state = fit(one)
    many = make_job(num_steps=40, checkpoint={"every": 4, "keep": 100}, workdir=tmp_path / "many")
    fit(many)
    saved, run = load_trained(many.workdir, 4, average=False)
    assert run["step"] == 4
    jax.tree.map(np.testing.assert_array_equal, saved, state.all_params())


def test_a_half_written_checkpoint_is_never_chosen(make_job):
    job = make_job(num_steps=4)
    fit(job)
    folder = job.workdir / "checkpoints"
    shutil.copytree(folder / "4", folder / "8.orbax-checkpoint-tmp")
    (folder / "8.orbax-checkpoint-tmp" / "commit_success.txt").unlink(missing_ok=True)
    assert load_trained(job.workdir)[1]["step"] == 4
    assert (folder / "8.orbax-checkpoint-tmp").exists(), "a reader must leave a writer's files alone"
    fit(make_job(num_steps=8))
    assert sorted(path.name for path in folder.iterdir()) == ["4", "8"]


def damage(job, step, item="params"):
    for path in (job.workdir / "checkpoints" / str(step) / item).rglob("*"):
        if path.is_file() and "ocdbt" not in path.name:
            path.write_bytes(b"")


def test_a_damaged_checkpoint_is_reported_by_name(make_job):
    job = make_job(num_steps=4)
    fit(job)
    damage(job, 4)
    with pytest.raises(UserError, match=r"checkpoints/4: damaged") as caught:
        fit(make_job(num_steps=8))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("item", ["params", "run"])
def test_behind_a_damaged_checkpoint_the_one_before_is_taken(make_job, tmp_path, capsys, item):
    whole = make_job(num_steps=12, workdir=tmp_path / "whole")
    fit(whole)
    job = make_job(num_steps=8)
    fit(job)
    damage(job, 8, item)
    fit(make_job(num_steps=12))
    said = capsys.readouterr().err
    assert re.search(r"checkpoints/8: damaged.*falling back to the previous one\n", said)
    assert "resumed from step 4" in said
    assert sorted(p.name for p in (job.workdir / "checkpoints").iterdir()) == ["12", "8", "damaged-8"]
    same = [[line["loss"] for line in read_metrics(j.workdir)] for j in (job, whole)]
    assert same[0] == same[1]


def test_a_restore_that_fails_once_is_no_damage(trained, make_job, tmp_path, monkeypatch, capsys):
    shutil.copytree(trained, tmp_path / "run")
    failed, restore = set(), ocp.StandardCheckpointHandler.restore

    def once(self, folder, **how):
        if folder.name not in failed:
            failed.add(folder.name)
            raise OSError(5, "Input/output error")
        return restore(self, folder, **how)

    monkeypatch.setattr(ocp.StandardCheckpointHandler, "restore", once)
    fit(make_job(num_steps=8))
    assert failed == {"params", "ema", "optimizer"}
    assert "resumed from step 8" in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == ["4", "8"]


def test_what_the_system_cannot_read_is_not_called_damaged(trained, make_job, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "run")

    def away(*_args, **_options):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(checkpoint, "check_hashes", away)
    with pytest.raises(OSError, match=r"Stale file handle .*nothing was changed.*checkpoints/8"):
        fit(make_job(num_steps=12))
    assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == ["4", "8"]


def test_what_another_process_cannot_read_is_not_taken_here_either(
    trained, make_job, tmp_path, monkeypatch, capsys
):
    shutil.copytree(trained, tmp_path / "run")
    checked = []

    def gather(outcome):
        other = (2, "checkpoints/8: damaged") if checked[-1:] == [("8", None)] else None
        return [outcome, other]

    def check(folder, *_, items=None):
        checked.append((folder.name, items))

    monkeypatch.setattr(failures, "gather", gather)
    monkeypatch.setattr(checkpoint, "check_hashes", check)
    fit(make_job(num_steps=8))
    assert [name for name, items in checked if items is None] == ["8", "4"]
    said = capsys.readouterr().err
    assert "checkpoints/8: damaged (process 1 of 2): falling back to the previous one" in said
    assert "resumed from step 4" in said


def test_a_checkpoint_is_set_aside_though_one_of_that_step_was_before(trained, make_job, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    shutil.copytree(tmp_path / "run" / "checkpoints" / "4", tmp_path / "run" / "checkpoints" / "damaged-8")
    damage(make_job(), 8)
    fit(make_job(num_steps=8))
    names = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["4", "8", "damaged-8", "damaged-8-2"]


def test_no_checkpoint_is_reported_with_the_folder(tmp_path, make_job):
    with pytest.raises(UserError, match="checkpoints: no such directory"):
        load_trained(tmp_path)
    fit(make_job(num_steps=4))
    with pytest.raises(UserError, match="no checkpoint of step 3"):
        load_trained(tmp_path / "run", 3)


def test_too_little_room_is_reported_before_the_step_is_compiled(make_job, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 0, 10))
    monkeypatch.setattr(steps, "compile_init", lambda *_: pytest.fail("compiled"))
    with pytest.raises(UserError, match=r"disk full: .* 10 B are free; there is no checkpoint"):
        fit(make_job())


def test_a_disk_that_fills_later_leaves_the_last_good_checkpoint(make_job, monkeypatch):
    real, calls = Checkpoints.check_space, []

    def fills(self, state):
        calls.append(1)
        if len(calls) > 2:
            monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 0, 10))
        real(self, state)

    monkeypatch.setattr(Checkpoints, "check_space", fills)
    with pytest.raises(UserError, match=r"last good checkpoint is .*/checkpoints/4; make room"):
        fit(make_job(num_steps=12))
    monkeypatch.undo()
    job = make_job(num_steps=12)
    fit(job)
    assert [line["step"] for line in read_metrics(job.workdir)] == list(range(1, 13))


FULL_DISK = """
import sys
import time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import conftest
from mtv_jax.io import cli
from mtv_jax.training.checkpoint import Checkpoints
from mtv_jax.training.loop import fit

workdir = Path(sys.argv[2])
make_job = conftest.make_job.__wrapped__(workdir)
Checkpoints.check_space = lambda *_: None  # so that the disk itself says that it is full

def sample(step, params):
    # Fills the disk to the last byte once a checkpoint is whole.
    while not (workdir / "run" / "checkpoints" / "4").exists():
        time.sleep(0.01)
    try:
        with open(workdir / "filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 14))
    except OSError:
        pass
    return None, 0

def main(_):
    import mtv_jax.training.metrics as metrics
    metrics.MetricsLog.video = lambda *_: None
    fit(make_job(num_steps=12, sample_fn=sample, sample={"every": 6}))

cli.run(main, [])
"""


def test_a_disk_that_is_really_full_is_one_line_and_exit_2(tmp_path):
    mount = f"mount -t tmpfs -o size=8m tmpfs {tmp_path}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let a test mount a small file system")
    command = f'{mount}; "$@"; code=$?; ls {tmp_path}/run/checkpoints; exit $code'
    arguments = [sys.executable, "-c", FULL_DISK, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, "sh", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    error = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(error) == 1
    assert "disk full" in error[0]
    assert "Traceback" not in done.stderr
    assert done.stdout.split() == ["4"]
