"""Files of torch before 1.6: nothing in them is executed or read out of bounds, and damage is named."""

import pickle
import struct

import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.weights.torch_files import read_torch
from mtv_jax.weights.torch_legacy import MAGIC

EXECUTED = []


def execute(*args):
    EXECUTED.append(args)


class Harmful:
    def __reduce__(self):
        return execute, (1,)


@pytest.fixture
def file(goldens, tmp_path):
    """A copy of a file that torch wrote: `change` replaces bytes in it."""
    path = tmp_path / "a.pt"
    path.write_bytes((goldens / "legacy.pt").read_bytes())

    def change(old: bytes, new: bytes):
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))
        return path

    change.path = path
    return change


def test_the_entry_is_named_if_it_is_not_there(file):
    with pytest.raises(UserError, match=r"a\.pt: no 'weights' in it"):
        read_torch([file.path], entry="weights")
    with pytest.raises(UserError, match="refused, not tensors: step, model_state, optimizer_state"):
        read_torch([file.path])


def test_tensors_have_their_storage_of_the_right_type(file):
    """The optimizer's doubles lie between the floats; a storage of another size shifts all that follow."""
    found = read_torch([file.path], entry="model_state")
    assert {tensor.dtype for tensor in found.values()} == {np.dtype(np.float32)}
    shifted = file(b"DoubleStorage", b"FloatStorage".rjust(13, b"x"))
    with pytest.raises(UserError, match=r"a\.pt"):
        read_torch([shifted], entry="model_state")


def test_a_file_that_ends_early_is_refused(file):
    data = file.path.read_bytes()
    for length in (len(MAGIC), len(MAGIC) + 4, len(data) // 2, len(data) - 1):
        file.path.write_bytes(data[:length])
        with pytest.raises(UserError, match=r"a\.pt: not a torch file that can be memory-mapped"):
            read_torch([file.path], entry="model_state")


@pytest.mark.parametrize("count", [-1, 2**40, 2**62])
def test_sizes_that_are_not_within_the_file_are_refused(file, count):
    first = file.path.read_bytes().rfind(b"e.") + 2
    data = bytearray(file.path.read_bytes())
    data[first : first + 8] = struct.pack("<q", count)
    file.path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="is not within the file"):
        read_torch([file.path], entry="model_state")


def test_nothing_is_executed(tmp_path):
    plain = [pickle.dumps(value, protocol=2) for value in (1001, {"little_endian": True})]
    harmful = pickle.dumps({"a": Harmful()}, protocol=2)
    keys = pickle.dumps([], protocol=2)
    for pickles in ([*plain, harmful, keys], [plain[0], harmful, harmful, keys], [*plain, keys, harmful]):
        path = tmp_path / "a.pt"
        path.write_bytes(MAGIC + b"".join(pickles))
        with pytest.raises(UserError, match=r"a\.pt: "):
            read_torch([path])
    assert not EXECUTED


def test_numbers_of_big_endian_machines_are_refused(tmp_path):
    path = tmp_path / "a.pt"
    values = (1001, {"little_endian": False}, {}, [])
    path.write_bytes(MAGIC + b"".join(pickle.dumps(value, protocol=2) for value in values))
    with pytest.raises(UserError, match="the highest byte of a number first"):
        read_torch([path])
