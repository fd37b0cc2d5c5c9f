"""From clips to a Maestro pipeline with a trained Condition Injection Module, by the commands of docs/maestro.md."""

import json
import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest
from cim_networks import NETWORK, make_cim_network, write_image_networks
from curation.films import separate_into_halves
from maestro_folders import write_maestro, write_mix

from mtv_jax import Pipeline, curate, train
from mtv_jax.curation.encoders import Encoders
from mtv_jax.data.shards import open_shards
from mtv_jax.io.audio import read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json
from mtv_jax.io.video import write_video
from mtv_jax.models.imagebind import log_mels
from mtv_jax.models.registry import make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.sharding.mesh import MeshConfig, make_mesh
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.training.checkpoint import load_trained
from mtv_jax.training.cim_export import export_cim
from mtv_jax.training.init import check_start, find_start
from mtv_jax.weights.maestro_defaults import MaestroDefaults
from mtv_jax.weights.model_index import (
    MAESTRO,
    TEXT_TO_VIDEO,
    TextOptions,
    index_json,
    read_class,
    read_defaults,
)
from mtv_jax.weights.pretrained import load_model, save_model
from mtv_jax.weights.rules import flat_paths

SIZE = ("--num-frames=8", "--fps=2", "--height=16", "--width=16")
FRAMES = 8
"""Of clips of four seconds: two segments."""


@pytest.fixture(scope="module")
def maestro(tmp_path_factory):
    return write_maestro(tmp_path_factory.mktemp("video") / "maestro")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return write_image_networks(tmp_path_factory.mktemp("image") / "networks")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two films of a clip each, whose sound and picture change half-way."""
    folder = tmp_path_factory.mktemp("films")
    for number, name in enumerate("ab"):
        frames = np.random.default_rng(number).integers(0, 256, (FRAMES, 16, 16, 3), np.uint8)
        time = np.arange(4 * 16000) / 16000
        tone = (0.3 * np.sin(2 * np.pi * np.where(time < 2, 300, 900) * time)).astype(np.float32)
        write_video(folder / f"{name}.mp4", frames, 2, audio=tone, sample_rate=16000)
        (folder / f"{name}.json").write_text(json.dumps({"prompt": f"dog {name}"}))
    return folder


@pytest.fixture(scope="module")
def shards(films, maestro, tmp_path_factory):
    out = tmp_path_factory.mktemp("cim") / "shards"
    with pytest.MonkeyPatch.context() as patch:
        separate_into_halves(patch)
        plain = ("--config", "configs/curate.py:plain", "--workers=0")
        curate.main(
            ["run", "--videos", str(films), "--out", str(out), "--encoders", str(maestro), *SIZE, *plain]
        )
    return out


def command(shards, workdir, *more):
    """The arguments of a training of two pictures a clip, at the smallest size."""
    return [
        *("--config", "configs/maestro/cim.py:tiny", f"--workdir={workdir}", f"--config.data.dir={shards}"),
        *("--config.model.variant=tiny", f"--config.model.overrides={NETWORK}", "--config.data.batch_size=2"),
        *("--config.data.text_length=12", "--config.init_from=", "--config.loss.schedule.prediction=epsilon"),
        "--config.loss.schedule.zero_terminal_snr=false",
        "--config.pipeline=",
        *("--config.checkpoint.every=1", "--config.compilation_cache=", *more),
    ]


@pytest.fixture(scope="module")
def trained(shards, image, maestro, tmp_path_factory):
    """A run that was stopped after a step and went on for another; it is exported."""
    workdir = tmp_path_factory.mktemp("runs") / "cim"
    given = f"--config.init_from={image}", f"--config.pipeline={maestro}"
    for steps in (1, 2):
        assert train.main(command(shards, workdir, *given, f"--config.num_steps={steps}")) == 0
    return workdir


def test_a_record_has_a_picture_and_a_spectrogram_for_each_segment(shards, films, maestro):
    opened, encoders = open_shards(shards), Encoders.from_pretrained(maestro)
    shapes = {"latents_mean": (2, 8, 8, 4), "latents_logvar": (2, 8, 8, 4)}
    assert opened.shapes == shapes | {"mel": (2, 128, 204), "text": (12, 24)}
    for record in map(opened.read, range(2)):
        name = record.source.name.removesuffix(".mp4")
        sound = read_audio(films / record.source.name, 16000)
        clips = [clip - clip.mean() for clip in (sound[:32000], sound[32000:64000])]
        np.testing.assert_allclose(record.arrays["mel"], log_mels(clips), atol=2e-2)
        (text,) = encoders.text.encode([f"dog {name}"])
        np.testing.assert_allclose(record.arrays["text"], text, atol=2e-3)
    assert read_class(shards / "encoders") == MAESTRO
    assert Encoders.from_pretrained(shards / "encoders").identity == encoders.identity


def test_it_starts_from_the_networks_of_a_folder_and_the_empty_text(trained, image):
    params, _ = load_trained(trained)
    flat = flat_paths(params)
    for name in ("unet", "imagebind"):
        _, kept = load_model(image / name)
        for path, leaf in flat_paths(kept).items():
            np.testing.assert_array_equal(flat[f"{name}/{path}"], leaf)
    (text,) = TextEncoder.from_pretrained(image, TextOptions(12)).encode([""])
    np.testing.assert_allclose(flat["no_text"], text, atol=1e-6)


def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(trained, shards, image, tmp_path):
    whole = command(shards, tmp_path / "run", f"--config.init_from={image}", "--config.num_steps=2")
    assert train.main(whole) == 0
    want, have = (flat_paths(load_trained(run)[0]) for run in (tmp_path / "run", trained))
    for path, leaf in want.items():
        np.testing.assert_array_equal(have[path], leaf)
    # Without a pipeline, what hears alone is exported.
    assert sorted(path.name for path in (tmp_path / "run" / "pipeline").iterdir()) == ["cim", "imagebind"]


def test_the_pipeline_has_the_trained_cim_and_the_unet_of_videos(trained, maestro, tmp_path):
    made = trained / "pipeline"
    parts = {path.name for path in maestro.iterdir()}
    assert {path.name for path in made.iterdir()} == parts
    for name in ("unet", "vae", "text_encoder"):
        file = next((maestro / name).glob("*.safetensors"))
        assert (made / name / file.name).read_bytes() == file.read_bytes()
    params, _ = load_trained(trained)
    _, cim = load_model(made / "cim")
    for path, leaf in flat_paths(cim).items():
        np.testing.assert_array_equal(leaf, flat_paths(params)[f"cim/{path}"])
    assert read_defaults(made) == read_defaults(maestro)
    pipe = Pipeline.from_pretrained(made)
    mix = write_mix(tmp_path / "mix.wav")
    assert type(pipe).__name__ == "MaestroPipeline"
    video = pipe(sources=[f"dog={mix}@0,0,.5,1"], progress=False, num_inference_steps=2, locating_steps=1)
    assert video.frames.shape == (4, 16, 32, 3)
    assert np.std(np.asarray(video.frames)) > 1


def test_tokens_from_the_second_slot_on_are_sampled_so(maestro, tmp_path):
    model, params = make_cim_network(first_slot=1)
    export_cim(tmp_path, model.config, params, str(maestro))
    defaults = read_defaults(tmp_path).maestro
    assert defaults.options("LR").first_slot == 1
    assert defaults.preset == "paper"
    _, cim = load_model(tmp_path / "cim")
    np.testing.assert_allclose(cim["params"]["latents"], params["params"]["cim"]["latents"], atol=1e-6)


def test_a_pipeline_of_text_becomes_a_maestro(maestro, tmp_path):
    text = tmp_path / "text"
    text.mkdir()
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        shutil.copytree(maestro / part, text / part)
    defaults = replace(read_defaults(maestro), maestro=None)
    write_json(text / "model_index.json", index_json(defaults) | {"_class_name": TEXT_TO_VIDEO})
    model, params = make_cim_network()
    (tmp_path / "out").mkdir()
    export_cim(tmp_path / "out", model.config, params, str(text))
    made = tmp_path / "out"
    assert read_class(made) == MAESTRO
    assert read_defaults(made) == replace(defaults, maestro=MaestroDefaults())


def test_a_cim_in_the_folder_is_trained_further(image, tmp_path):
    folder = shutil.copytree(image, tmp_path / "image")
    model, params = make_cim_network()
    start = find_start(str(folder), model)
    assert start.absent == {path for path in flat_paths(params) if path.startswith("cim/")}
    check_start(start, parameter_shapes(model))
    part = make_model("cim", model.config.cim)
    save_model(folder / "cim", part, {"params": params["params"]["cim"]})
    start = find_start(str(folder), model)
    check_start(start, parameter_shapes(model))
    assert not start.absent
    loaded = start.load(make_mesh(MeshConfig(), jax.devices()[:1]))
    np.testing.assert_allclose(
        loaded["params"]["cim"]["latents"], params["params"]["cim"]["latents"], atol=1e-6
    )
    other, _ = make_cim_network(cim=NETWORK["cim"] | {"num_queries": 5})
    with pytest.raises(UserError, match=r"cim/latents has the shape \(3, 8\), this run needs \(5, 8\)"):
        check_start(find_start(str(folder), other), parameter_shapes(other))


def test_folders_that_do_not_do_are_refused_before_training(shards, image, maestro, tmp_path):
    model, _ = make_cim_network()
    with pytest.raises(UserError, match=r"unet: a network 'videocrafter', must be 'unet2d'"):
        find_start(str(maestro), model)
    for part in ("text_encoder", "imagebind", "unet"):
        folder = shutil.copytree(image, tmp_path / part)
        shutil.rmtree(folder / part)
        with pytest.raises(UserError, match=f"no {part}/ in it; a CIM is trained with unet/"):
            find_start(str(folder), model)
    for flags, message in (
        (["--config.pipeline=nowhere"], "nowhere"),
        ([f"--config.pipeline={shards / 'encoders'}"], "encoders"),
        ([f"--config.pipeline={image}"], "no unet/ in it that makes videos"),
        (["--config.sample.every=5"], "the task 'cim' makes no videos"),
        (["--config.evaluate.every=5"], "the task 'cim' makes no videos"),
    ):
        with pytest.raises(UserError, match=message):
            train.main(command(shards, tmp_path / "run", *flags))
