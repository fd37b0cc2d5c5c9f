"""Pickles of numpy arrays: their numbers are read, and nothing in them is executed."""

import os
import pickle

import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.weights import pickled_arrays
from mtv_jax.weights.pickled_arrays import read_pickled_arrays


def write(path, content):
    path.write_bytes(pickle.dumps(content, protocol=4))
    return path


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_arrays_of_nested_dicts_are_read(tmp_path):
    content = {"params": {"a/b": {"kernel": np.arange(6.0).reshape(2, 3)}}, "mean": np.ones(2, np.float32)}
    found = read_pickled_arrays(write(tmp_path / "a.ckpt", content))
    assert set(found) == {"params.a/b.kernel", "mean"}
    np.testing.assert_array_equal(np.asarray(found["params.a/b.kernel"]), [[0, 1, 2], [3, 4, 5]])
    assert found["mean"].dtype == np.float32


def test_nothing_is_executed(tmp_path):
    path = write(tmp_path / "a.ckpt", {"a": Harmful(tmp_path / "made")})
    with pytest.raises(UserError, match=r"a\.ckpt: refused, it holds more than arrays \(posix\.mkdir\)"):
        read_pickled_arrays(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [{"a": 3}, [np.ones(2)], {"a": [np.ones(2)]}, {"a": np.array([None])}])
def test_anything_else_is_refused(tmp_path, content):
    with pytest.raises(UserError, match="refused, it holds more than arrays"):
        read_pickled_arrays(write(tmp_path / "a.ckpt", content))


def test_a_damaged_or_huge_file_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.ckpt", {"a": np.ones(100)})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="not a pickle of arrays"):
        read_pickled_arrays(path)
    monkeypatch.setattr(pickled_arrays, "MOST_PICKLE", 100)
    with pytest.raises(UserError, match="refused: 200 bytes; at most 100 of a pickle are read"):
        read_pickled_arrays(path)
