"""The Condition Injection Module against the original's numbers, and what the module promises."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_folders import ORIGINALS
from goldens.make_keys import cim_tensors
from safetensors.numpy import load_file
from torch_writer import write_tensors

from mtv_jax import load_model
from mtv_jax.convert import main as convert
from mtv_jax.io.errors import UserError
from mtv_jax.models.cim import CIMConfig, ConditionInjectionModule
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights import cim as table
from mtv_jax.weights.rules import to_params, to_state

FOLDER = ORIGINALS / "maestro_cim"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="MTV_JAX_GOLDENS has no maestro_cim/")


def close(found, want) -> None:
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)  # the golden's README


def config_values():
    return json.loads((FOLDER / "config.json").read_text())["kwargs"]


@pytest.fixture(scope="module")
def golden():
    state = load_file(FOLDER / "weights.safetensors")
    model = ConditionInjectionModule(table.config_from_json(config_values()))
    with np.load(FOLDER / "io.npz") as file:
        return model, to_params(state, table.RULES, parameter_shapes(model)), state, dict(file)


def test_every_layer_agrees_with_the_original(golden):
    model, params, _, arrays = golden
    apply = jax.jit(functools.partial(model.apply, mutable=["intermediates"]))
    out, seen = apply(params, arrays["input"])
    seen = seen["intermediates"]
    found = {"output": out, "proj_in": seen["sound"][0], "proj_out": seen["projected"][0]}
    for ours, theirs in (("attention_branch", "attn_branch"), ("mlp_branch", "ff_branch")):
        found |= {f"layer{i}.{theirs}": branch for i, branch in enumerate(seen["blocks"][ours][0])}
    compared = set(found) & set(arrays)
    assert {"output", "proj_in", "proj_out", "layer0.attn_branch", "layer0.ff_branch"} <= compared
    assert compared == set(arrays) - {"input"}
    for name in compared:
        close(found[name], arrays[name])


def test_unscanned_and_bfloat16_are_close_and_the_file_comes_back(golden):
    model, params, state, arrays = golden
    unscanned_model = ConditionInjectionModule(model.config, jnp.bfloat16, scan_layers=False)
    unscanned = to_params(state, table.RULES, parameter_shapes(unscanned_model))
    for tree in (params, unscanned):
        back = to_state(tree, table.RULES)
        assert set(back) == set(state)
        for key, found in back.items():
            np.testing.assert_array_equal(found, state[key], err_msg=key)
    found = jax.jit(unscanned_model.apply)(unscanned, arrays["input"])
    assert found.dtype == jnp.float32
    want = arrays["output"]
    assert 1e-4 < np.sqrt(((found - want) ** 2).mean() / (want**2).mean()) < 2e-2


def test_the_originals_file_is_converted(golden, tmp_path):
    model, params, state, _ = golden
    file = tmp_path / "theirs" / "perceiver.pth"
    file.parent.mkdir()
    write_tensors(file, state)
    arguments = ["--from", "cim", "--in", str(file), "--out", str(tmp_path / "ours")]
    with pytest.raises(UserError, match=r"perceiver\.pth: (missing|unexpected) tensors"):
        convert(arguments)  # of the released sizes, which have another number of layers
    assert not (tmp_path / "ours").exists()
    (file.parent / "config.json").write_text(json.dumps(config_values()))
    convert(arguments)
    again, same = load_model(tmp_path / "ours")
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)


@pytest.mark.parametrize("queries", [1, 20])
def test_a_file_without_config_has_as_many_queries_as_its_tensor(tmp_path, queries, monkeypatch):
    sizes = dataclasses.replace(CIMConfig.tiny(), num_queries=queries)
    monkeypatch.setattr(CIMConfig, "paper", CIMConfig.tiny)
    shapes = cim_tensors(dataclasses.asdict(sizes))
    write_tensors(tmp_path / "perceiver.pth", {key: np.zeros(shape, "f4") for key, shape in shapes.items()})
    model, _ = table.open_cim(tmp_path / "perceiver.pth", lambda _, leaf: leaf)
    assert model.config == sizes


def test_configs_survive_their_file_and_what_is_unsupported_is_named():
    for config in (CIMConfig.tiny(), CIMConfig.paper()):
        assert table.config_from_json(json.loads(json.dumps(table.config_to_json(config)))) == config
    values = dataclasses.asdict(CIMConfig.paper())
    assert table.config_from_json(values | {"video_length": 3}).num_queries == 30
    assert table.config_from_json(values | {"video_length": None}) == CIMConfig.paper()
    for change, message in (
        ({"video_length": "2"}, "video_length '2': must be a whole number"),
        ({"apply_pos_emb": True}, "unknown keys apply_pos_emb"),
    ):
        with pytest.raises(UserError, match=message):
            table.config_from_json(values | change)


def test_tokens_of_another_width_are_refused():
    model = ConditionInjectionModule(CIMConfig.tiny())
    with pytest.raises(UserError, match="sound tokens of width 13: this network takes 12"):
        jax.eval_shape(model.apply, parameter_shapes(model), jnp.zeros((1, 2, 13)))
