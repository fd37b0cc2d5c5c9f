"""`mtv_jax.convert`: other programs' weights, bit by bit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from pipeline_folders import SMALL, make_small
from safetensors.numpy import load_file, save_file

from mtv_jax import load_model
from mtv_jax.convert import main
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json, write_json
from mtv_jax.models.mst_controlnet import MSTControlNetConfig
from mtv_jax.models.mtv import MTV
from mtv_jax.weights import mtv_sat
from mtv_jax.weights.conversion import convert_mtv, convert_pretrained
from mtv_jax.weights.mtv_sat import config_from_json
from mtv_jax.weights.pretrained import save_model
from mtv_jax.weights.tensor_files import read_tensors


@pytest.fixture(scope="module")
def checkpoint(original_goldens: Path) -> Path:
    return original_goldens / "mtv/denoiser"


def convert(*args) -> None:
    main([str(arg) for arg in args])


def tensors(folder: Path) -> dict[str, np.ndarray]:
    return {key: np.asarray(tensor) for key, tensor in read_tensors(folder).items()}


@pytest.mark.parametrize("speakers", [1, 2])
def test_released_checkpoint_becomes_a_folder_and_comes_back(checkpoint, tmp_path, speakers):
    names = ["weights_single", "weights_multi_extra"][:speakers]
    files = [checkpoint / f"{name}.safetensors" for name in names]
    convert("--from", "mtv-sat", "--in", *files, "--out", tmp_path / "ours")
    model, _ = load_model(tmp_path / "ours")
    assert isinstance(model, MTV)
    assert model.config == config_from_json(json.loads((checkpoint / "config.json").read_text()), speakers)
    original = {key: tensor for file in files for key, tensor in load_file(file).items()}
    convert("--from", "diffusers", "--in", tmp_path / "ours", "--to", "mtv-sat", "--out", tmp_path / "back")
    back = tensors(tmp_path / "back")
    assert set(back) == {k for k in original if "position_embeddings" not in k and ".freqs_" not in k}
    for key, tensor in back.items():
        np.testing.assert_array_equal(tensor, original[key], err_msg=key)


def test_only_the_released_form_has_the_authors_names(tmp_path):
    control = SMALL["mtv"]["controlnet"] | {"separate_feed_forward": True, "rope_queries": False}
    save_model(tmp_path / "ours", *make_small("mtv", overrides=SMALL["mtv"] | {"controlnet": control}))
    arguments = (
        "--from",
        "diffusers",
        "--in",
        tmp_path / "ours",
        "--to",
        "mtv-sat",
        "--out",
        tmp_path / "back",
    )
    reported = "not the released form .*: separate_feed_forward is True, there False; rope_queries is False, there True"
    with pytest.raises(UserError, match=reported):
        convert(*arguments)
    assert not (tmp_path / "back").exists()


def test_the_authors_form_has_at_most_two_speakers():
    mtv_sat.check_form(replace(MSTControlNetConfig.released(), num_speakers=2), "x")
    with pytest.raises(UserError, match="num_speakers is 3, there at most 2"):
        mtv_sat.check_form(replace(MSTControlNetConfig.released(), num_speakers=3), "x")


def test_weights_are_cast_on_the_way(checkpoint, tmp_path):
    source = checkpoint / "weights_single.safetensors"
    convert("--from", "mtv-sat", "--in", source, "--out", tmp_path / "half", "--dtype", "bf16")
    key = "time_embedding.linear_1.weight"
    half = tensors(tmp_path / "half/transformer")[key]
    whole = load_file(source)["model.diffusion_model.time_embed.0.weight"]
    np.testing.assert_array_equal(half, whole.astype(ml_dtypes.bfloat16))


def test_what_the_checkpoint_lacks_is_named(checkpoint, tmp_path):
    state = load_file(checkpoint / "weights_single.safetensors")
    del state["model.diffusion_model.transformer.layers.1.audio_attn.key_value.weight"]
    save_file(state | {"extra": np.zeros(1)}, tmp_path / "weights.safetensors")
    shutil.copy(checkpoint / "config.json", tmp_path)
    with pytest.raises(UserError, match=r"missing tensors: .*layers\.1\.audio_attn\.key_value.*: extra"):
        convert("--from", "mtv-sat", "--in", tmp_path / "weights.safetensors", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_config_the_released_sizes_are_expected(checkpoint, tmp_path):
    shutil.copy(checkpoint / "weights_single.safetensors", tmp_path)
    with pytest.raises(UserError, match=r"missing tensors: .* and \d+ more"):
        convert("--from", "mtv-sat", "--in", tmp_path, "--out", tmp_path / "out")


def test_config_that_contradicts_itself_is_named(checkpoint):
    values = json.loads((checkpoint / "config.json").read_text())
    values["model"]["hidden_size"] += 1
    with pytest.raises(UserError, match=r"hidden_size \d+ is not \d+ heads"):
        config_from_json(values, 1)
    del values["audio"]["window"]
    with pytest.raises(UserError, match="audio has no window"):
        config_from_json(values, 1)


def test_pipeline_is_converted_whole(pipeline_folder, tmp_path):
    convert("--from", "diffusers", "--in", pipeline_folder, "--out", tmp_path / "half", "--dtype", "fp16")
    files = {path.relative_to(pipeline_folder) for path in pipeline_folder.rglob("*") if path.is_file()}
    assert files == {p.relative_to(tmp_path / "half") for p in (tmp_path / "half").rglob("*") if p.is_file()}
    for name in ("transformer", "controlnet", "vae", "text_encoder"):
        whole, half = tensors(pipeline_folder / name), tensors(tmp_path / "half" / name)
        assert set(whole) == set(half)
        for key, tensor in half.items():
            np.testing.assert_array_equal(tensor, whole[key].astype(np.float16), err_msg=key)


def test_a_pipeline_without_controlnet_is_converted_part_by_part(pipeline_folder, tmp_path):
    for part in ("transformer", "vae", "scheduler"):
        shutil.copytree(pipeline_folder / part, tmp_path / "theirs" / part)
    names = list(convert_pretrained(tmp_path / "theirs", tmp_path / "ours"))
    assert len(names) == len(tensors(tmp_path / "ours/transformer")) + len(tensors(tmp_path / "ours/vae"))
    assert {path.name for path in (tmp_path / "ours").iterdir()} == {"transformer", "vae", "scheduler"}


def test_a_seed_is_not_weights(pipeline_folder, tmp_path):
    values = read_json(pipeline_folder / "vae/config.json")
    write_json(tmp_path / "vae/config.json", values | {"_untrained_seed": 1})
    with pytest.raises(UserError, match="vae: has no weights, only a seed"):
        list(convert_pretrained(tmp_path / "vae", tmp_path / "ours"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.pt", "deep/b.pt"), r"which of a\.pt, b\.pt\? Give the file itself"),
        (("pytorch_model.bin", "c.ckpt"), r"which of pytorch_model\.bin, c\.ckpt"),
        ((".hidden/a.pt", "._b.pth"), "no weights in it"),
    ],
)
def test_one_of_several_torch_files_must_be_named(tmp_path, names, message):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=message):
        list(convert_mtv([tmp_path], tmp_path / "ours"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--from", "hf", "--in", "{empty}"], "neither network nor pipeline"),
        (["--from", "mtv-sat", "--in", "{empty}"], "no weights in it"),
        (["--from", "hf", "--in", "{empty}/none"], "no such"),
        (["--from", "hf", "--in", "a", "b"], "only --from mtv-sat"),
        (["--from", "diffusers", "--in", "{empty}", "--to", "mtv-sat"], "no controlnet/"),
        (["--from", "mtv-sat", "--in", "{empty}", "--to", "mtv-sat"], "--from diffusers"),
        (["--from", "train", "--in", "{empty}", "--dtype", "bf16"], "--from diffusers"),
    ],
)
def test_errors_are_named_and_leave_no_files(tmp_path, args, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        convert(*(arg.format(empty=tmp_path / "empty") for arg in args), "--out", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
