"""Rule tables are strict both ways and know scanned from unscanned trees."""

import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.weights.rules import BATCHED, CONV2D, LINEAR, POINTWISE2D, Rule, to_params, to_state

RULES = (
    Rule("embed.weight", "embed/kernel", CONV2D),
    Rule("table", "embed/table", BATCHED),
    Rule("point.weight", "embed/point", POINTWISE2D),
    Rule("layers.{layer}.qkv.weight", tuple(f"blocks/to_{x}/kernel" for x in "qkv"), LINEAR),
    Rule("layers.{layer}.norm.weight", "blocks/norm/scale"),
    Rule("down.{i}.resnets.{j}.bias", "down_{i}/resnet_{j}/bias"),
)


def tree(stacked: bool):
    """Shapes of a two-layer network."""
    layer = {
        "to_q": {"kernel": (3, 2)},
        "to_k": {"kernel": (3, 2)},
        "to_v": {"kernel": (3, 2)},
        "norm": {"scale": (3,)},
    }

    def full(shapes, lead=()):
        return {k: full(v, lead) if isinstance(v, dict) else np.zeros((*lead, *v)) for k, v in shapes.items()}

    blocks = {"blocks": full(layer, (2,))} if stacked else {f"blocks_{i}": full(layer) for i in range(2)}
    embed = {
        "embed": {"kernel": np.zeros((2, 2, 4, 5)), "table": np.zeros((7, 5)), "point": np.zeros((4, 5))}
    }
    return {"params": {**blocks, **embed, "down_1": {"resnet_0": {"bias": np.zeros(6)}}}}


@pytest.fixture
def state():
    rng = np.random.default_rng(0)
    shapes = {"embed.weight": (5, 4, 2, 2), "table": (1, 7, 5), "point.weight": (5, 4, 1, 1)}
    shapes |= {"down.1.resnets.0.bias": (6,)}
    for i in range(2):
        shapes |= {f"layers.{i}.qkv.weight": (6, 3), f"layers.{i}.norm.weight": (3,)}
    return {key: rng.normal(size=shape) for key, shape in shapes.items()}


@pytest.mark.parametrize("stacked", [True, False])
def test_round_trip_is_exact(state, stacked):
    params = to_params(state, RULES, tree(stacked))
    back = to_state(params, RULES)
    assert set(back) == set(state)
    for key in state:
        np.testing.assert_array_equal(back[key], state[key])


def test_axes_and_parts_go_where_the_rule_says(state):
    params = to_params(state, RULES, tree(stacked=True))["params"]
    np.testing.assert_array_equal(params["blocks"]["to_k"]["kernel"][1], state["layers.1.qkv.weight"][2:4].T)
    np.testing.assert_array_equal(params["embed"]["kernel"][1, 0, 3, 4], state["embed.weight"][4, 3, 1, 0])
    np.testing.assert_array_equal(params["embed"]["point"], state["point.weight"][..., 0, 0].T)


def test_missing_and_left_over_tensors_are_named(state):
    del state["layers.1.norm.weight"]
    state["extra.weight"] = np.zeros(1)
    with pytest.raises(UserError, match=r"layers\.1\.norm\.weight.*extra\.weight"):
        to_params(state, RULES, tree(stacked=True))


def test_tensor_of_another_shape_is_named(state):
    state["down.1.resnets.0.bias"] = np.zeros(5)
    with pytest.raises(UserError, match=r"down\.1\.resnets\.0\.bias has shape \(5,\).*\(6,\)"):
        to_params(state, RULES, tree(stacked=True))


def test_layer_of_another_shape_is_named(state):
    state["layers.1.norm.weight"] = np.zeros(4)
    with pytest.raises(UserError, match=r"layers\.1\.norm\.weight"):
        to_params(state, RULES, tree(stacked=True))


def test_ignored_tensors_are_left_alone(state):
    state["rope.freqs"] = np.zeros(3)
    params = to_params(state, RULES, tree(stacked=True), ignored=[r"rope\..*"])
    assert set(params["params"]) == {"blocks", "embed", "down_1"}


def test_a_parameter_without_rule_is_a_bug(state):
    shapes = tree(stacked=True)
    shapes["params"]["new"] = {"bias": np.zeros(1)}
    with pytest.raises(ValueError, match="new/bias"):
        to_params(state, RULES, shapes)
