"""A Maestro folder from the files of its originals: small networks under the originals' names, in torch's files."""

import gzip
from pathlib import Path

import jax
import numpy as np
import pytest
from maestro_folders import PARTS, write_letters
from random_weights import random_weights
from safetensors.numpy import save_file
from torch_writer import write_tensors

from mtv_jax.convert import main
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.pipelines.describe import describe_pipeline
from mtv_jax.pipelines.preflight import folder_limits
from mtv_jax.text.tokenizer import load_tokenizer
from mtv_jax.weights import cim, clip_text, imagebind_audio, kl_vae, maestro_files, videocrafter
from mtv_jax.weights.model_index import MAESTRO, maestro_defaults, read_class, read_defaults
from mtv_jax.weights.pretrained import load_model
from mtv_jax.weights.rules import to_state
from mtv_jax.weights.scheduler import load_schedule

NETWORKS = [part for part in PARTS if part not in ("clap", "separator")]


@pytest.fixture(scope="module")
def networks():
    """Part of the folder -> its model and parameters."""
    found = {}
    for seed, part in enumerate(NETWORKS):
        name, fields = PARTS[part]
        model = make_model(name, make_config(name, "tiny", fields))
        found[part] = model, random_weights(model, seed)
    return found


def under(prefix: str, state) -> dict[str, np.ndarray]:
    return {prefix + key: np.asarray(array, np.float32) for key, array in state.items()}


def videocrafter_tensors(networks) -> dict[str, np.ndarray]:
    """Those of the three networks and of the schedule; the text encoder has one layer more, which is not used."""
    unet, vae, text = (networks[part] for part in ("unet", "vae", "text_encoder"))
    words = to_state(text[1], clip_text.OPENCLIP_RULES)
    last = text[0].config.num_hidden_layers
    more = {key.replace("resblocks.0.", f"resblocks.{last}."): array for key, array in words.items()}
    one = {"logit_scale": np.ones((), np.float32), "text_projection": np.ones((2, 2), np.float32)}
    return {
        **under(videocrafter.PREFIX, to_state(unet[1], videocrafter.rules(unet[0].config))),
        **under("first_stage_model.", to_state(vae[1], kl_vae.ldm_rules(vae[0].config))),
        **under("cond_stage_model.model.", more | words | one),
        "scale_arr": np.ones(1000, np.float32),
    }


@pytest.fixture(scope="module")
def originals(networks, tmp_path_factory) -> dict[str, Path]:
    """Part -> file, with the configs of small networks beside."""
    folder = tmp_path_factory.mktemp("originals")
    files = {
        "videocrafter": folder / "videocrafter" / "model.ckpt",
        "imagebind": folder / "imagebind" / "imagebind_huge.pth",
        "cim": folder / "cim" / "perceiver.pth",
        "tokenizer": folder / "bpe_simple_vocab_16e6.txt.gz",
    }
    for file in files.values():
        file.parent.mkdir(exist_ok=True)
    write_tensors(files["videocrafter"], videocrafter_tensors(networks), entry="state_dict")
    sound = to_state(networks["imagebind"][1], imagebind_audio.RULES)
    picture = {"modality_trunks.vision.blocks.0.norm_1.weight": np.ones(2, np.float32)}
    write_tensors(files["imagebind"], {key: np.asarray(x) for key, x in sound.items()} | picture)
    write_tensors(files["cim"], to_state(networks["cim"][1], cim.RULES))
    files["tokenizer"].write_bytes(gzip.compress(b"#version: 0.2\nd o\ndo g</w>\n"))
    tables = {"unet": videocrafter, "vae": kl_vae, "text_encoder": clip_text}
    sizes = {part: table.config_to_json(networks[part][0].config) for part, table in tables.items()}
    write_json(files["videocrafter"].parent / "config.json", sizes)
    write_json(files["cim"].parent / "config.json", cim.config_to_json(networks["cim"][0].config))
    write_json(
        files["imagebind"].parent / "config.json",
        imagebind_audio.config_to_json(networks["imagebind"][0].config),
    )
    return files


def convert(source: str, parts, out: Path) -> None:
    main(["--from", source, "--in", *map(str, parts), "--out", str(out)])


def check(folder: Path, networks, parts) -> None:
    for part in parts:
        model, params = load_model(folder / part)
        assert model == networks[part][0]
        jax.tree.map(np.testing.assert_array_equal, params, networks[part][1])


def test_videocrafters_checkpoint_becomes_three_networks_a_schedule_and_an_index(
    networks, originals, tmp_path
):
    convert("videocrafter", [originals["videocrafter"]], tmp_path / "out")
    check(tmp_path / "out", networks, ("unet", "vae", "text_encoder"))
    assert read_class(tmp_path / "out") == MAESTRO
    assert read_defaults(tmp_path / "out") == maestro_defaults()
    timesteps = load_schedule(tmp_path / "out" / "scheduler").sampling_levels(50).timesteps
    assert [timesteps[0], timesteps[-1]] == [981, 1]


def test_a_whole_folder_is_made_of_its_parts(networks, originals, tmp_path):
    out = tmp_path / "maestro"
    convert("maestro", [f"{name}={file}" for name, file in originals.items()], out)
    check(out, networks, ("imagebind", "cim"))
    assert folder_limits(out).pixels == 2
    described = describe_pipeline(out)
    assert "up to 25, each named" in described
    assert "CC BY-NC-SA 4.0 (ImageBind)" in described
    tokenizer = load_tokenizer(out / "tokenizer", "clip")
    assert len(tokenizer.encode("dog")) == 3, "the start, one merged word, the end"


def test_audiosep_goes_into_the_folder_with_its_clap(originals, tmp_path, monkeypatch):
    models = [make_model(name, make_config(name, "tiny")) for name in ("resunet", "clap_text")]
    opened = [(model, random_weights(model)) for model in models]
    monkeypatch.setitem(maestro_files.NETWORKS, "audiosep", lambda path, settle: opened)
    (tmp_path / "audiosep.ckpt").touch()
    write_letters(tmp_path / "tokenizer.json")
    parts = originals | {
        "audiosep": tmp_path / "audiosep.ckpt",
        "clap-tokenizer": tmp_path / "tokenizer.json",
    }
    convert("maestro", [f"{name}={file}" for name, file in parts.items()], tmp_path / "out")
    for folder, model in zip(("separator", "clap"), models, strict=True):
        assert load_model(tmp_path / "out" / folder)[0] == model
    assert (tmp_path / "out" / "clap" / "tokenizer.json").read_bytes() == (
        tmp_path / "tokenizer.json"
    ).read_bytes()


def test_what_is_missing_unknown_or_too_much_is_named(originals, networks, tmp_path):
    given = [f"{name}={file}" for name, file in originals.items()]
    for parts, message in (
        (given[:2], "--in: cim=FILE is missing"),
        ([*given, given[0]], "given twice"),
        ([*given, "vae=x"], "must be PART=FILE; parts are videocrafter"),
        ([*given, "audiosep=x"], "audiosep=FILE and clap-tokenizer=FILE need each other"),
        ([*given[:2], "cim=missing.pth", given[3]], "missing.pth: no such file"),
    ):
        with pytest.raises(UserError, match=message):
            convert("maestro", parts, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    save_file({"generator.weight": np.ones(1, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"no checkpoint of VideoCrafter, which has no generator\.weight"):
        convert("videocrafter", [tmp_path / "model.safetensors"], tmp_path / "out")
