"""What a run starts from: another run's averaged weights, or a pipeline folder; and what does not fit is named."""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pipeline_folders import SMALL
from random_weights import scaled_weights

from mtv_jax.io.errors import UserError
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.sharding.mesh import MeshConfig, make_mesh
from mtv_jax.training.checkpoint import load_trained
from mtv_jax.training.init import Start, check_start, find_start
from mtv_jax.training.loop import fit
from mtv_jax.weights.pretrained import load_model, save_model
from mtv_jax.weights.rules import flat_paths

ANY = nn.Dense(1)
"""The network does not matter where a training directory is given."""


def start_of(job, start):
    return dataclasses.replace(job, initial_params=start.load)


def still(make_job, workdir, **changes):
    """A job of one step that changes nothing."""
    optimizer = {"learning_rate": 0.0, "weight_decay": 0.0} | changes.pop("optimizer", {})
    return make_job(num_steps=1, workdir=workdir, optimizer=optimizer, **changes)


@pytest.mark.parametrize("average", ["float32", "bfloat16"])
def test_a_run_starts_from_the_averaged_weights_of_another_whatever_trained_there(
    make_job, tmp_path, average
):
    fit(make_job(num_steps=8, optimizer={"ema_decay": 0.5, "ema_dtype": average, "trainable": ("body/.*",)}))
    start = find_start(str(tmp_path / "run"), ANY)
    state = fit(start_of(still(make_job, tmp_path / "next"), start))
    want, _ = load_trained(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, state.all_params(), want)
    # One step has averaged it with itself: .999 a + .001 a is a but for its last bit.
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), state.all_params(average=True), want)
    raw, _ = load_trained(tmp_path / "run", average=False)
    assert not np.array_equal(raw["params"]["body"]["kernel"], want["params"]["body"]["kernel"])
    np.testing.assert_array_equal(want["params"]["head"]["kernel"], np.eye(8))


def test_a_run_that_is_resumed_starts_from_nothing(make_job, tmp_path):
    fit(make_job(num_steps=4))
    whole = fit(make_job(num_steps=8, workdir=tmp_path / "whole"))

    def refuse(mesh):
        raise AssertionError

    resumed = fit(dataclasses.replace(make_job(num_steps=8), initial_params=refuse))
    jax.tree.map(np.testing.assert_array_equal, resumed.params, whole.params)


def test_a_run_that_stopped_early_is_named_and_its_checkpoints_can_be_chosen(make_job, tmp_path):
    job = make_job(num_steps=8)
    fit(dataclasses.replace(job, identity={**job.identity, "num_steps": 20}))
    with pytest.raises(UserError, match="stopped at step 8 of 20; let it finish.*/run/checkpoints/8$"):
        find_start(str(tmp_path / "run"), ANY)
    start = find_start(str(tmp_path / "run" / "checkpoints" / "4"), ANY)
    assert start.origin.endswith("run (step 4)")
    got = start.load(make_mesh(MeshConfig()))
    jax.tree.map(np.testing.assert_array_equal, got, load_trained(tmp_path / "run", 4)[0])
    with pytest.raises(UserError, match="no checkpoint of step 5"):
        find_start(str(tmp_path / "run" / "checkpoints" / "5"), ANY)


def test_a_training_that_has_not_saved_yet_is_named(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match="run: no checkpoint in it"):
        find_start(str(tmp_path / "run"), ANY)


def test_what_does_not_fit_is_named():
    def tree(**shapes):
        return {"params": {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}}

    def check(there, wanted, **how):
        check_start(Start("here", there, lambda mesh: there, **how), wanted)

    check(tree(a=(2,)), tree(a=(2,)))
    with pytest.raises(
        UserError, match=r"here: another network's: a has the shape \(2,\), this run needs \(3,\)"
    ):
        check(tree(a=(2,)), tree(a=(3,)))
    with pytest.raises(UserError, match="b is not there; c is not of this run's network$"):
        check(tree(a=(2,), c=(1,)), tree(a=(2,), b=(2,)))
    with pytest.raises(UserError, match="d is not there, and 2 more$"):
        check(tree(a=(2,)), tree(b=(1,), c=(1,), d=(1,), e=(1,)))


def small(name, **overrides):
    values = SMALL["mtv"] if name == "mtv" else SMALL["mtv"]["dit"]
    return make_model(name, make_config(name, "tiny", {**values, **overrides}))


def test_a_pipeline_folder_gives_the_whole_denoiser_or_its_backbone(pipeline_folder):
    mesh = make_mesh(MeshConfig())
    whole = flat_paths(load_model(pipeline_folder)[1])
    for name, prefix in (("mtv", ""), ("dit", "transformer/")):
        model = small(name)
        start = find_start(str(pipeline_folder), model)
        check_start(start, parameter_shapes(model))
        got = flat_paths(start.load(mesh))
        assert got.keys() == flat_paths(parameter_shapes(model)).keys()
        for path, leaf in got.items():
            np.testing.assert_array_equal(leaf, whole[prefix + path])


def test_only_a_folder_without_controlnet_may_lack_one(pipeline_folder, tmp_path):
    (tmp_path / "transformer").symlink_to(pipeline_folder / "transformer")
    model = small("mtv")
    start = find_start(str(tmp_path), model)
    check_start(start, parameter_shapes(model))
    assert {path.split("/")[0] for path in flat_paths(start.shapes)} == {"transformer"}
    assert flat_paths(start.load(make_mesh(MeshConfig()))).keys() == flat_paths(start.shapes).keys()
    wide = small("mtv", dit={**SMALL["mtv"]["dit"], "text_embed_dim": 4})
    with pytest.raises(
        UserError, match=r"text_proj/kernel has the shape \(8, 16\), this run needs \(4, 16\)"
    ):
        check_start(start, parameter_shapes(wide))
    timed = small("mtv", dit={**SMALL["mtv"]["dit"], "ofs_embed_dim": 8})
    with pytest.raises(UserError, match="transformer/ofs_embedding/linear_1/kernel is not there"):
        check_start(find_start(str(tmp_path), timed), parameter_shapes(timed))
    ablated = small("mtv", controlnet={**SMALL["mtv"]["controlnet"], "separate_extraction": False})
    with pytest.raises(UserError, match="controlnet/blocks/norm_music/bias is not there"):
        check_start(find_start(str(pipeline_folder), ablated), parameter_shapes(ablated))


def test_places_without_weights_are_named(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such training directory or pipeline folder"):
        find_start(str(tmp_path / "nowhere"), small("mtv"))
    with pytest.raises(UserError, match="nor a pipeline folder with transformer/"):
        find_start(str(tmp_path), small("dit"))


def test_a_network_of_videos_starts_from_the_network_of_pictures_that_it_extends(tmp_path):
    pictures = make_model("unet2d", make_config("unet2d", "tiny", {"attention_levels": [True, True]}))
    params = scaled_weights(pictures, 0)
    save_model(tmp_path / "unet", pictures, params)
    videos = make_model("videocrafter", make_config("videocrafter", "tiny"))
    start = find_start(str(tmp_path), videos)
    wanted = parameter_shapes(videos)
    check_start(start, wanted)
    assert all("temporal" in path or "fps_embedding" in path for path in start.absent)
    assert flat_paths(wanted).keys() == flat_paths(start.shapes).keys() | start.absent
    jax.tree.map(np.testing.assert_array_equal, start.load(make_mesh(MeshConfig())), params)
    save_model(tmp_path / "other" / "unet", videos, scaled_weights(videos, 0))
    back = find_start(str(tmp_path / "other"), pictures)
    with pytest.raises(UserError, match="another network's"):
        check_start(back, parameter_shapes(pictures))
