"""A checkpoint's files are what was saved: any damage to any file is noticed, whoever hashed and whoever checks."""

import random
import re
import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.sharding.mesh import MeshConfig, make_mesh
from mtv_jax.training import checkpoint_hashes, failures
from mtv_jax.training.checkpoint import Checkpoints, load_trained
from mtv_jax.training.checkpoint_hashes import check_hashes, is_hashed, write_hashes
from mtv_jax.training.failures import DamagedError
from mtv_jax.training.init import find_start
from mtv_jax.training.loop import fit
from mtv_jax.training.state import TrainState

ANY = nn.Dense(1)
"""The network does not matter where a training directory is given."""


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch):
    monkeypatch.setattr(failures, "RETRY_SECONDS", (0.0,))


@pytest.fixture
def folder(tmp_path):
    """Seven files, in folders as a checkpoint's."""
    for number in range(7):
        path = tmp_path / "8" / f"item{number % 3}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.random.default_rng(number).bytes(100 + number))
    return tmp_path / "8"


def flip(path, rng):
    """Other values in four bytes at a random place."""
    data = bytearray(path.read_bytes())
    start = rng.randrange(len(data) - 3)
    for i in range(start, start + 4):
        data[i] ^= rng.randrange(1, 256)
    path.write_bytes(data)


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("writers", [1, 3])
@pytest.mark.parametrize("readers", [1, 2, 9])
def test_every_file_is_checked_by_one_process(folder, writers, readers):
    for index in range(writers):
        write_hashes(folder, index, writers)
    for index in range(readers):
        check_hashes(folder, index, readers)
    for path in sorted(folder.glob("item*/*")):
        whole = path.read_bytes()
        flip(path, random.Random(0))
        found = []
        for index in range(readers):
            try:
                check_hashes(folder, index, readers)
            except ValueError as error:
                found.append(str(error))
        assert found == [f"{path.relative_to(folder)}: its SHA-256 is another than was saved"]
        path.write_bytes(whole)


def test_each_process_reads_its_share_alone(folder, monkeypatch):
    read, sha256 = [], checkpoint_hashes.sha256
    monkeypatch.setattr(checkpoint_hashes, "sha256", lambda path: read.append(path.name) or sha256(path))
    for index in range(3):
        write_hashes(folder, index, 3)
    assert sorted(read) == [f"file{i}" for i in range(7)]
    read.clear()
    for index in range(2):
        check_hashes(folder, index, 2)
    assert sorted(read) == [f"file{i}" for i in range(7)]
    read.clear()
    check_hashes(folder, items=["item1"])
    assert sorted(read) == ["file1", "file4"]


def test_hashes_that_some_process_did_not_write_are_reported(folder):
    assert not is_hashed(folder)
    write_hashes(folder, 1, 2)
    assert not is_hashed(folder)
    write_hashes(folder, 0, 2)
    assert is_hashed(folder)


def test_no_byte_of_the_hashes_may_change(folder):
    write_hashes(folder)
    path = next(folder.glob("hashes-*.json"))
    whole = path.read_bytes()
    changed = [whole[:i] + bytes([whole[i] ^ 3]) + whole[i + 1 :] for i in range(0, len(whole), 7)]
    # The name of another file, which is then there twice.
    for content in [*changed, whole.replace(b"item0/file0", b"item0/file3")]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path.name}: damaged"):
            check_hashes(folder)


def test_a_file_that_cannot_be_read_once_is_no_damage(folder, monkeypatch):
    write_hashes(folder)
    calls, sha256 = [], checkpoint_hashes.sha256

    def read(path):
        calls.append(path.name)
        if calls.count("file3") == 1 and path.name == "file3":
            raise OSError(5, "Input/output error")
        return sha256(path)

    monkeypatch.setattr(checkpoint_hashes, "sha256", read)
    check_hashes(folder)
    assert calls.count("file3") == 2


def test_damage_to_any_file_of_a_checkpoint_is_noticed(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    rng = random.Random(0)
    folder = tmp_path / "run" / "checkpoints" / "8"
    assert is_hashed(folder)
    check_hashes(folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path.name for path in files}
    assert {"manifest.ocdbt", "_METADATA", "_CHECKPOINT_METADATA", "metadata", "_sharding"} <= names
    for path in files:
        whole = path.read_bytes()
        ways = [lambda p: flip(p, rng)] * 5 + [halve]
        # Without its hashes a checkpoint is as one of an older version.
        ways += [] if path.name.startswith("hashes") else [lambda p: p.unlink()]
        for damage in ways:
            damage(path)
            with pytest.raises(ValueError, match=path.name):
                check_hashes(folder)
            path.write_bytes(whole)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A directory with a checkpoint of a state whose weights fill a data file, and that state.

    Smaller arrays are kept in OCDBT's nodes, which have checksums of their own.
    """
    folder = tmp_path_factory.mktemp("wide")
    weights = jax.random.normal(jax.random.key(0), (300, 300))
    state = TrainState(
        jnp.zeros((), jnp.int32), {"params": {"w": weights}}, {"params": {}}, {"m": jnp.zeros(3)}, None
    )
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(8, state, {"step": 8, "config": {}})
    return folder, state


@pytest.mark.parametrize("way", ["four bytes", "half", "gone"])
def test_weights_that_are_damaged_are_not_restored(wide, tmp_path, way):
    folder, state = wide
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path, rng = data_file(tmp_path), random.Random(0)
    whole = path.read_bytes()
    assert len(whole) > 300_000
    ways = {"four bytes": [lambda p: flip(p, rng)] * 10, "half": [halve], "gone": [lambda p: p.unlink()]}
    shapes = jax.eval_shape(lambda: state)
    shardings = jax.tree.map(lambda x: x.sharding, state)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        for damage in ways[way]:
            damage(path)
            with pytest.raises(UserError, match="/8: damaged") as caught:
                checkpoints.restore(8, shapes, shardings)
            assert "\n" not in str(caught.value)
            with pytest.raises(UserError, match="/8: damaged"):
                checkpoints.read("params", 8)
            path.write_bytes(whole)
        restored = checkpoints.restore(8, shapes, shardings)
    np.testing.assert_array_equal(restored.params["params"]["w"], state.params["params"]["w"])


def test_data_that_tensorstore_cannot_read_are_damage_though_they_are_not_hashed(wide, tmp_path):
    folder, state = wide
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("hashes-*"):
        path.unlink()
    halve(data_file(tmp_path))
    shardings = jax.tree.map(lambda x: x.sharding, state)
    # TensorStore raises a bare Exception of some dozen lines.
    with (
        Checkpoints(tmp_path, read_only=True) as checkpoints,
        pytest.raises(UserError, match="/8: damaged") as caught,
    ):
        checkpoints.restore(8, jax.eval_shape(lambda: state), shardings)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def data_file(workdir, item="params", step=8):
    """The largest of an item's."""
    files = (workdir / "checkpoints" / str(step) / item).rglob("d/*")
    return max(files, key=lambda path: path.stat().st_size)


@pytest.mark.parametrize(
    "damage",
    [lambda path: flip(path, random.Random(1)), halve, lambda path: path.unlink()],
    ids=["four bytes", "half", "gone"],
)
def test_behind_damaged_data_the_checkpoint_before_is_taken(trained, make_job, tmp_path, capsys, damage):
    shutil.copytree(trained, tmp_path / "run")
    damage(data_file(tmp_path / "run", "optimizer"))
    job = make_job(num_steps=8)
    fit(job)
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if ": damaged" in line] == [said[0]]
    assert said[0].endswith("falling back to the previous one")
    assert any("resumed from step 4 (" in line for line in said)
    names = sorted(path.name for path in (job.workdir / "checkpoints").iterdir())
    assert names == ["4", "8", "damaged-8"]


def test_if_all_are_damaged_nothing_is_renamed(trained, make_job, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    for step in (4, 8):
        flip(data_file(tmp_path / "run", step=step), random.Random(0))
    job = make_job(num_steps=8)
    with pytest.raises(DamagedError, match=r"/4: damaged.*SHA-256") as caught:
        fit(job)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in (job.workdir / "checkpoints").iterdir()) == ["4", "8"]


@pytest.mark.parametrize("item", ["params", "ema", "run"])
def test_damaged_weights_are_neither_exported_nor_started_from(trained, tmp_path, item, capsys):
    shutil.copytree(trained, tmp_path / "run")
    start = find_start(str(tmp_path / "run"), ANY) if item != "run" else None
    folder = tmp_path / "run" / "checkpoints" / "8" / item
    flip(folder / "metadata" if item == "run" else data_file(tmp_path / "run", item), random.Random(0))
    with pytest.raises(DamagedError, match="/8: damaged"):
        load_trained(tmp_path / "run", 8)
    assert load_trained(tmp_path / "run")[1]["step"] == 4
    assert re.search(r"/8: damaged.*: falling back to the previous one\n", capsys.readouterr().err)
    with pytest.raises(DamagedError, match="/8: damaged"):
        start.load(make_mesh(MeshConfig())) if start else find_start(str(tmp_path / "run"), ANY)


def test_a_checkpoint_without_hashes_is_used_and_reported(trained, make_job, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    for path in (tmp_path / "run").rglob("hashes-*"):
        path.unlink()
    fit(make_job(num_steps=8))
    assert "checkpoints/8, not all of it hashed" in capsys.readouterr().err


def test_hashes_that_cannot_be_written_do_not_stop_a_training(make_job, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("mtv_jax.training.checkpoint.write_hashes", refuse)
    fit(make_job(num_steps=4))
    assert "checkpoints/4: could not be hashed ([Errno 5] Input/output error)" in capsys.readouterr().err
    assert load_trained(make_job().workdir)[1]["step"] == 4
