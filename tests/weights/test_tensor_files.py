"""Safetensors as one file or as shards with an index."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mtv_jax.io.errors import UserError
from mtv_jax.weights import tensor_files
from mtv_jax.weights.tensor_files import read_tensors, write_tensors

TENSORS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b.weight": np.arange(8, dtype=ml_dtypes.bfloat16),
    "c.count": np.array(7, np.int64),
    "d.weight": np.ones((4, 4), np.float16),
}
INDEX = "model.safetensors.index.json"


def write(folder, **options) -> list[str]:
    return list(write_tensors(folder, "model", TENSORS, **options))


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(tensor_files, "SHARD_BYTES", 30)


@pytest.mark.parametrize("shard_bytes", [10**6, 30])
def test_what_is_written_is_read(tmp_path, monkeypatch, shard_bytes):
    monkeypatch.setattr(tensor_files, "SHARD_BYTES", shard_bytes)
    assert write(tmp_path) == list(TENSORS)
    stored = read_tensors(tmp_path)
    assert set(stored) == set(TENSORS)
    for key, tensor in TENSORS.items():
        assert (stored[key].shape, stored[key].dtype) == (tensor.shape, tensor.dtype)
        np.testing.assert_array_equal(np.asarray(stored[key]), tensor)


def test_shards_have_transformers_names_and_index(tmp_path, small_shards):
    write(tmp_path)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert files == [f"model-{i:05d}-of-00003.safetensors" for i in (1, 2, 3)]
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["metadata"] == {"total_size": sum(t.nbytes for t in TENSORS.values())}
    for key, name in index["weight_map"].items():
        assert key in load_file(tmp_path / name)


def test_floats_are_cast_and_integers_kept(tmp_path):
    write(tmp_path, dtype="bfloat16")
    dtypes = {key: tensor.dtype for key, tensor in read_tensors(tmp_path).items()}
    assert dtypes.pop("c.count") == np.int64
    assert set(dtypes.values()) == {np.dtype(ml_dtypes.bfloat16)}


def test_shards_without_an_index_are_read_if_all_are_there(tmp_path, small_shards):
    write(tmp_path)
    (tmp_path / INDEX).unlink()
    assert set(read_tensors(tmp_path)) == set(TENSORS)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(UserError, match="2 of 00003 safetensors files"):
        read_tensors(tmp_path)


def relist(folder, change):
    index = json.loads((folder / INDEX).read_text())
    change(index["weight_map"])
    (folder / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "model-00001-of-00003.safetensors").unlink(), "00001.*no such file"),
        (lambda f: relist(f, lambda m: m.update(x="model-00001-of-00003.safetensors")), "not in the file.*x"),
        (lambda f: relist(f, lambda m: m.pop("c.count")), r"does not list: c\.count"),
        (lambda f: (f / INDEX).write_text("{}"), "no weight_map"),
        (lambda f: (f / "model-00001-of-00003.safetensors").write_bytes(b"12345678"), "not a readable"),
    ],
)
def test_what_is_wrong_with_shards_is_named(tmp_path, small_shards, spoil, message):
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError, match=message):
        read_tensors(tmp_path)


def test_two_whole_checkpoints_in_a_folder_are_not_mixed(tmp_path):
    for name in ("model.safetensors", "other.safetensors"):
        save_file({"x": np.zeros(2, np.float32)}, tmp_path / name)
    with pytest.raises(UserError, match=r"which of model\.safetensors, other\.safetensors"):
        read_tensors(tmp_path)
