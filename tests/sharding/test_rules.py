"""Rules over paths, and the shardings of whole train states."""

import math

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, NamedSharding
from jax.sharding import PartitionSpec as P

from mtv_jax.io.errors import UserError
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.sharding.mesh import AXES, MeshConfig, make_mesh
from mtv_jax.sharding.rules import (
    WEIGHT_RULES,
    check_matches,
    check_syntax,
    match_rules,
    parameter_path,
    partition_spec,
    paths,
    tree_shardings,
)
from mtv_jax.weights.rules import flat_paths


@pytest.fixture(scope="module")
def mtv_5b():
    """Path -> shape of every parameter at full size."""
    return flat_paths(parameter_shapes(make_model("mtv", make_config("mtv", "mtv_5b"))))


# The sizes are all that a spec depends on.
MESH = AbstractMesh((2, 4, 2, 1), ("data", "fsdp", "tensor", "context"))


def test_the_first_rule_that_matches_the_whole_path_holds():
    rules = [("blocks/.*/kernel", 1), ("blocks/.*", 2)]
    assert match_rules("blocks/attn1/to_q/kernel", rules, 0) == 1
    assert match_rules("blocks/attn1/to_q/bias", rules, 0) == 2
    assert match_rules("transformer/blocks/ff/kernel", rules, 0) == 0


def test_paths_begin_below_params_wherever_the_tree_is():
    params = {"params": {"a": {"kernel": jnp.zeros(2)}, "b": jnp.zeros(3)}}
    assert paths(params) == ["a/kernel", "b"]
    state = {"params": params, "opt": [{"mu": params, "count": jnp.zeros(())}]}
    keys = [key for key, _ in jax.tree_util.tree_flatten_with_path(state)[0]]
    assert [parameter_path(key) for key in keys] == [None, "a/kernel", "b", "a/kernel", "b"]


@pytest.mark.parametrize(
    ("path", "shape", "spec"),
    [
        ("norm/scale", (64,), P(None)),
        ("dense/kernel", (64, 32), P("fsdp", "tensor")),
        # Scanned: the layers in front stay whole.
        ("blocks/dense/kernel", (3, 64, 32), P(None, "fsdp", "tensor")),
        ("blocks/attn1/to_q/kernel", (3, 64, 96), P(None, "fsdp", "tensor")),
        ("blocks/attn1/to_out/kernel", (3, 96, 64), P(None, "tensor", "fsdp")),
        ("blocks/ff/down/kernel", (3, 128, 64), P(None, "tensor", "fsdp")),
        ("up_0_1/res/in_conv/kernel", (3, 3, 64, 32), P(None, None, "fsdp", "tensor")),
        ("up_0_1/res/out_conv/kernel", (3, 3, 32, 32), P(None, None, "tensor", "fsdp")),
        ("conv/kernel", (3, 3, 3, 8, 16), P(None, None, None, "fsdp", "tensor")),
        # An axis that does not divide goes to another dimension, beside the axis that is there.
        ("conv/kernel", (3, 3, 3, 3, 16), P(None, None, None, None, ("tensor", "fsdp"))),
        ("blocks/attn1/to_q/kernel", (64, 15), P(("fsdp", "tensor"), None)),
        ("blocks/norm1/linear/kernel", (12, 6, 16), P(None, None, ("tensor", "fsdp"))),
        ("token_embedding", (12, 6), P("fsdp", None)),
        # It is dropped where no dimension takes it: not on layers or the window of a convolution.
        ("blocks/attn1/to_q/kernel", (4, 3, 6), P(None, None, "tensor")),
        ("conv/kernel", (4, 4, 3, 3), P(None, None, None, None)),
        ("kernel", (64,), P("tensor")),
    ],
)
def test_specs_name_the_last_dimensions(path, shape, spec):
    assert partition_spec(path, shape, MESH) == spec


@pytest.mark.parametrize("sizes", [(1, 8, 1, 1), (1, 16, 1, 1), (8, 16, 1, 1), (8, 16, 1, 2), (1, 8, 2, 1)])
def test_where_the_rules_axes_divide_a_weight_lies_as_the_rule_says(mtv_5b, sizes):
    """On 8 and 16 parts all of the full-size model does: launch/plans were compiled so."""
    mesh = AbstractMesh(sizes, AXES)
    for path, leaf in mtv_5b.items():
        spec = match_rules(path, WEIGHT_RULES, ())
        spec = spec[max(0, len(spec) - leaf.ndim) :]
        assert partition_spec(path, leaf.shape, mesh) == P(*(None,) * (leaf.ndim - len(spec)), *spec), path


def test_on_24_devices_next_to_nothing_of_the_full_size_model_is_replicated(mtv_5b):
    mesh = AbstractMesh((1, 24, 1, 1), AXES)
    held, whole = 0, 0
    for path, leaf in mtv_5b.items():
        part = math.prod(NamedSharding(mesh, partition_spec(path, leaf.shape, mesh)).shard_shape(leaf.shape))
        held += part
        whole += part if part == leaf.size else 0
    assert held <= 0.49e9
    assert whole <= 0.01e9
    kernel = "transformer/blocks/norm1/linear/kernel"
    spec = partition_spec(kernel, mtv_5b[kernel].shape, mesh)
    assert NamedSharding(mesh, spec).shard_shape(mtv_5b[kernel].shape) == (42, 512, 768)


def test_a_state_is_placed_as_its_parameters_are():
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    leaf = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    tree = {"mu": {"params": {"kernel": leaf}}, "count": jax.ShapeDtypeStruct((), jnp.int32)}
    shardings = tree_shardings(tree, mesh)
    assert shardings["mu"]["params"]["kernel"].spec == P("fsdp", "tensor")
    assert shardings["count"].spec == P()


def test_rules_without_effect_are_errors():
    with pytest.raises(UserError, match=r"rates: '\(' is not a regular expression"):
        check_syntax(["("], "rates")
    with pytest.raises(UserError, match=r"rates: 'c/.*' matches no parameter"):
        check_matches(["a/.*", "c/.*"], ["a/kernel"], "rates")
