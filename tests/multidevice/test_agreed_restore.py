"""Two processes go on from the same checkpoint though one's read of the newest fails once, and neither goes on, or
renames anything, if it always fails."""

import shutil
import subprocess
import sys

import pytest
from processes import ROOT, finish_processes, start_processes

from mtv_jax.training.checkpoint_hashes import check_hashes, is_hashed

# Process 1 meets an error of its disk in what it reads of checkpoint 8: `once`, `always`, or `orbax` (always, but
# after the hashes were read). Trains on, from whichever checkpoint, and prints its step and the last step.
DRIVER = """
import errno, hashlib, sys
from pathlib import Path
folder, workdir, fault = sys.argv[1:]
sys.path.insert(0, folder)
import jax
import orbax.checkpoint as ocp
import conftest
from mtv_jax.io import cli
from mtv_jax.sharding.distributed import join_processes
from mtv_jax.training import loop

seen = set()

def faulty(function, path_of):
    def read(*args, **kwargs):
        path = str(path_of(args))
        if "/checkpoints/8/" in path and not (fault == "once" and path in seen):
            seen.add(path)
            raise OSError(errno.EIO, "Input/output error", path)
        return function(*args, **kwargs)
    return read

def main(_):
    join_processes()
    if jax.process_index() == 1:
        if fault != "orbax":
            hashlib.file_digest = faulty(hashlib.file_digest, lambda args: args[0].name)
        ocp.StandardCheckpointHandler.restore = faulty(
            ocp.StandardCheckpointHandler.restore, lambda args: args[1]
        )
    restore = loop._restore
    def reported(*args):
        step, state = restore(*args)
        print("went on from", step, flush=True)
        return step, state
    loop._restore = reported
    make_job = conftest.job_maker(Path(workdir))
    state = loop.fit(make_job(num_steps=10, mesh={"data": 1, "fsdp": 2}))
    print("ended at", int(state.step), flush=True)

cli.run(main, [])
"""


def run(workdir, fault):
    """Both processes' exit codes, standard outputs and errors."""
    command = [sys.executable, "-c", DRIVER, str(ROOT / "tests" / "training"), str(workdir), fault]
    return finish_processes(start_processes([command] * 2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a toy run with checkpoints of steps 4 and 8, saved by one process."""
    folder = tmp_path_factory.mktemp("trained")
    command = [sys.executable, "-c", TRAIN, str(ROOT / "tests" / "training"), str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=400)
    return folder


TRAIN = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import conftest
from mtv_jax.training.loop import fit

fit(conftest.job_maker(Path(sys.argv[2]))(num_steps=8, mesh={"data": 1, "fsdp": 1}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["always", "orbax"])
def test_what_one_cannot_read_stops_both_and_is_not_renamed(trained, tmp_path, fault):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    for code, out, errors in run(tmp_path, fault):
        assert code == 1, errors
        assert "went on" not in out
        assert "Input/output error" in errors
    assert {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()} == {"4", "8"}


@pytest.mark.slow
def test_both_go_on_from_one_checkpoint(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    for code, out, errors in run(tmp_path, "once"):
        assert code == 0, errors
        said = [line for line in out.splitlines() if not line.startswith("[Gloo]")]
        assert said == ["went on from 8", "ended at 10"], errors
        assert ": damaged" not in errors
    checkpoints = tmp_path / "run" / "checkpoints"
    assert {path.name for path in checkpoints.iterdir()} == {"8", "10"}
    assert {path.name for path in (checkpoints / "10").glob("hashes-*")} == {
        "hashes-00000-of-00002.json",
        "hashes-00001-of-00002.json",
    }
    assert is_hashed(checkpoints / "10")
    check_hashes(checkpoints / "10")
