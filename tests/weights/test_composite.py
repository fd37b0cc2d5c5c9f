"""Networks that are stored in two parts: what is the backbone's, what is their own, and which parts go together."""

import re
import shutil

import jax
import numpy as np
import pytest
from pipeline_folders import SMALL

from mtv_jax import load_model
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json, write_json
from mtv_jax.models.denoisers import backbone_of
from mtv_jax.models.registry import (
    NETWORKS,
    controlnet_parameters,
    make_config,
    make_model,
    stage_parameters,
)
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights.composite import join_params, split_params
from mtv_jax.weights.pretrained import build_model
from mtv_jax.weights.rules import flat_paths

COMPOSITE = NETWORKS["mtv"].composite


def model(**options):
    return make_model("mtv", make_config("mtv", "tiny", SMALL["mtv"]), **options)


@pytest.mark.parametrize("scanned", [True, False])
def test_parameters_are_taken_apart_and_put_together(scanned):
    whole = model(scan_layers=scanned)
    shapes, backbone = parameter_shapes(whole), parameter_shapes(backbone_of(whole))
    theirs, own = split_params(shapes, COMPOSITE, backbone)
    assert flat_paths(theirs) == flat_paths(backbone)
    layer = "blocks" if scanned else "blocks_0"
    groups = ("controlnet/", f"transformer/{layer}/injection/")
    assert all(path.startswith(groups) for path in flat_paths(own))
    assert flat_paths(join_params(COMPOSITE, theirs, own)) == flat_paths(shapes)


def test_own_and_trained_parameters_are_also_given_by_paths():
    shapes = parameter_shapes(model())
    _, own = split_params(shapes, COMPOSITE, parameter_shapes(backbone_of(model())))
    named = {
        path
        for path in flat_paths(shapes)
        if any(re.fullmatch(p, path) for p in controlnet_parameters("mtv"))
    }
    assert named == flat_paths(own).keys()
    assert stage_parameters("mtv") == (
        "controlnet/.*",
        "transformer/blocks/injection/.*",
        "transformer/blocks/attn1/to_.*",
        "transformer/blocks/norm2/norm/.*",
    )
    for pattern in stage_parameters("mtv"):
        assert any(re.fullmatch(pattern, path) for path in flat_paths(shapes)), pattern
    with pytest.raises(UserError, match="'dit': has no controlnet"):
        stage_parameters("dit")


def test_the_backbone_computes_as_the_whole_does():
    backbone = backbone_of(model(dtype=jax.numpy.bfloat16, remat="block", scan_layers=False))
    assert (backbone.dtype, backbone.remat, backbone.scan_layers) == (jax.numpy.bfloat16, "block", False)
    assert backbone_of(backbone) is backbone


def test_a_controlnet_s_weights_may_come_from_a_seed(pipeline_folder, tmp_path):
    shutil.copytree(pipeline_folder / "transformer", tmp_path / "transformer")
    values = read_json(pipeline_folder / "controlnet/config.json")
    write_json(tmp_path / "controlnet/config.json", values | {"_untrained_seed": 5})
    network, params = load_model(tmp_path)
    theirs, own = split_params(params, COMPOSITE, load_model(tmp_path / "transformer")[1])
    jax.tree.map(np.testing.assert_array_equal, theirs, load_model(tmp_path / "transformer")[1])
    first = load_model(pipeline_folder)[1]
    changed = {path: leaf for path, leaf in flat_paths(own).items() if path.endswith("to_q/kernel")}
    assert changed
    assert not any(np.array_equal(leaf, flat_paths(first)[path]) for path, leaf in changed.items())
    assert network == build_model(pipeline_folder)


def test_parts_that_do_not_go_together_are_named(pipeline_folder, tmp_path):
    with pytest.raises(UserError, match="controlnet: MSTControlNet is not a complete network.*transformer/"):
        load_model(pipeline_folder / "controlnet")
    shutil.copytree(pipeline_folder / "vae", tmp_path / "transformer")
    shutil.copytree(pipeline_folder / "controlnet", tmp_path / "controlnet")
    with pytest.raises(UserError, match="MSTControlNet does not go with the network 'vae3d' beside it"):
        load_model(tmp_path)
    shutil.rmtree(tmp_path / "controlnet")
    shutil.copytree(pipeline_folder / "vae", tmp_path / "controlnet")
    with pytest.raises(UserError, match="AutoencoderKLCogVideoX does not go with"):
        load_model(tmp_path)
