"""Checkpoints as others leave them, or as somebody made them to do harm."""

import json
import shutil
import struct
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mtv_jax import load_model, save_model
from mtv_jax.io.errors import UserError
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.weights import torch_archive
from mtv_jax.weights.conversion import convert_pretrained
from mtv_jax.weights.tensor_files import read_tensors, write_tensors
from mtv_jax.weights.torch_archive import check_archive
from mtv_jax.weights.torch_files import read_torch
from mtv_jax.weights.variants import choose_weights

INDEX = "model.safetensors.index.json"


def put(folder: Path, *names: str, value: float = 1.0) -> None:
    for name in names:
        save_file({"x": np.full(2, value, np.float32)}, folder / name)


def read(folder: Path) -> float:
    return float(np.asarray(read_tensors(folder)["x"])[0])


def index(folder: Path, name: str, **weight_map: str) -> None:
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.mark.parametrize(
    "variant",
    [
        "model.fp16.safetensors",
        "model.non_ema.safetensors",
        "model.fp16-00001-of-00002.safetensors",
        "model-00001-of-00002.fp16.safetensors",
    ],
)
def test_of_two_variants_the_plain_one_is_taken(tmp_path, variant):
    """diffusers#8968: an fp16 file beside the full one was refused."""
    put(tmp_path, "model.safetensors", value=1)
    put(tmp_path, variant, variant.replace("00001-of", "00002-of"), value=2)
    (tmp_path / "pytorch_model.bin").write_bytes(b"torch's")
    assert read(tmp_path) == 1
    (tmp_path / "model.safetensors").unlink()
    if "-of-" not in variant:
        assert read(tmp_path) == 2  # one alone is what there is


def test_variants_have_indices_of_their_own(tmp_path):
    """diffusers#8968, for checkpoints in shards."""
    shards = ["model.fp16-00001-of-00001.safetensors", "model-00001-of-00001.safetensors"]
    put(tmp_path, shards[0], value=2)
    index(tmp_path, "model.safetensors.index.fp16.json", x=shards[0])
    assert read(tmp_path) == 2
    put(tmp_path, shards[1], value=1)
    index(tmp_path, INDEX, x=shards[1])
    assert read(tmp_path) == 1
    (tmp_path / INDEX).unlink()
    (tmp_path / shards[1]).rename(tmp_path / "model.safetensors")
    assert read(tmp_path) == 1


@pytest.mark.parametrize("other", ["consolidated.safetensors", "other.fp16.safetensors"])
@pytest.mark.parametrize("has_index", [False, True])
def test_others_beside_the_weights_are_still_refused_by_name(tmp_path, other, has_index):
    """diffusers#8968: what is no variant of the weights may be what was meant."""
    put(tmp_path, "model.safetensors", other)
    if has_index:
        index(tmp_path, INDEX, x="model.safetensors")
    with pytest.raises(UserError, match=f"which of.*{other}"):
        read(tmp_path)


def test_torch_files_have_variants_too(tmp_path):
    """diffusers#8968, `.bin`."""
    for name in ("pytorch_model.bin", "pytorch_model.fp16.bin", "._pytorch_model.bin"):
        (tmp_path / name).touch()
    assert choose_weights(tmp_path, "bin") == [tmp_path / "pytorch_model.bin"]
    (tmp_path / "training_args.bin").touch()
    with pytest.raises(UserError, match=r"which of pytorch_model\.bin, training_args\.bin"):
        choose_weights(tmp_path, "bin")


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "a\\b.safetensors", "", ".x", "x" * 300, 5, None]
)
def test_an_index_names_files_beside_it(tmp_path, name):
    """Found by attack: `weight_map` led out of the folder."""
    index(tmp_path, INDEX, x=name)
    with pytest.raises(
        UserError, match=r"index\.json: weight_map of x: .* is not the name of a file beside it"
    ):
        read_tensors(tmp_path)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named(tmp_path, dtype, value):
    """CogVideo#637: a NaN in a checkpoint gave a black video and exit 0."""
    array = np.zeros((3, 4), dtype)
    array[1, 2] = value
    save_file({"a.weight": array, "b.weight": np.zeros(2, dtype)}, tmp_path / "model.safetensors")
    tensors = read_tensors(tmp_path)
    np.asarray(tensors["b.weight"])
    with pytest.raises(
        UserError, match=r"model\.safetensors: a\.weight: 1 of 12 numbers are NaN or infinite"
    ):
        np.asarray(tensors["a.weight"])


def test_a_model_with_a_nan_is_neither_loaded_nor_written(tmp_path):
    """CogVideo#637, by the public functions; and weights for which float16 has no room."""
    source = pipeline_folder("tiny") / "text_encoder"
    model, params = load_model(source)
    params["params"]["final_norm"]["scale"] = params["params"]["final_norm"]["scale"].at[3].set(np.nan)
    with pytest.raises(UserError, match="encoder.final_layer_norm.weight: 1 of 64"):
        save_model(tmp_path / "saved", model, params)
    assert not (tmp_path / "saved").exists()
    shutil.copytree(source, tmp_path / "spoilt")
    tensors = load_file(source / "model.safetensors")
    tensors["encoder.final_layer_norm.weight"][0] = np.inf
    save_file(tensors, tmp_path / "spoilt" / "model.safetensors")
    with pytest.raises(UserError, match="encoder.final_layer_norm.weight: 1 of 64"):
        load_model(tmp_path / "spoilt")
    with pytest.raises(UserError, match="final_layer_norm.weight: 1 of 64"):
        list(convert_pretrained(tmp_path / "spoilt", tmp_path / "converted"))
    with pytest.raises(UserError, match="x as float16: 1 of 2 numbers"):
        list(write_tensors(tmp_path, "model", {"x": np.array([1, 1e6], np.float32)}, dtype="float16"))
    assert not (tmp_path / "model.safetensors").exists()


def test_large_weights_are_finite():
    """Siblings of CogVideo#637: their sum overflows, they do not."""
    from mtv_jax.weights.finite import check_finite

    check_finite(np.full(10, 3e38, np.float32), "x")
    check_finite(np.array([3e38, -3e38] * 4, np.float32), "x")
    check_finite(np.arange(3), "x")


@pytest.fixture
def bomb(tmp_path) -> Path:
    """A zip file that unpacks to far more than it is, as torch's files are laid out."""
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/version", "3")
        with archive.open("archive/data.pkl", "w") as entry:
            for _ in range(64):
                entry.write(bytes(2**20))
    return path


def test_a_zip_bomb_is_refused_before_it_is_read(bomb, monkeypatch):
    """Found by attack: a 5.8 MB file with a 6 GB `data.pkl` took 12 GB before it was refused."""
    monkeypatch.setattr(torch_archive, "_read", lambda *args: pytest.fail("was read"))
    with pytest.raises(UserError, match=r"bomb\.pt: refused: .* unpack to 67,108,865.*data\.pkl: 67,108,864"):
        read_torch([bomb])
    for suffix in (".bin", ".ckpt", ".pth"):
        with pytest.raises(UserError, match=f"bomb{suffix}: refused"):
            read_torch([bomb.rename(bomb.with_suffix(suffix)) and bomb.with_suffix(suffix)])
        bomb.with_suffix(suffix).rename(bomb)


def test_a_pickle_too_large_to_be_read_whole_is_refused(tmp_path, monkeypatch):
    """Found by attack: a sibling of the zip bomb, that is as large as it says."""
    monkeypatch.setattr(torch_archive, "MOST_PICKLE", 1000)
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data/0", bytes(2000))
        archive.writestr("a/data.pkl", bytes(1000))
    check_archive(tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", bytes(1001))
    with pytest.raises(UserError, match=r"a\.pt: refused: a/data\.pkl has 1,001 bytes"):
        check_archive(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"12345678",
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 400_000) + b"[" * 400_000,
        struct.pack("<Q", 80)
        + b'{"x":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}  ',
        struct.pack("<Q", 64) + b'{"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}      x',
    ],
)
def test_safetensors_that_claim_what_they_are_not_are_refused(tmp_path, data):
    """Found by attack: headers of huge sizes, or none."""
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(UserError, match=r"model\.safetensors: "):
        read_tensors(tmp_path)
