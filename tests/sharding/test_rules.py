"""Rules over paths, and the shardings of whole train states."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

from mtv_jax.io.errors import UserError
from mtv_jax.sharding.mesh import MeshConfig, make_mesh
from mtv_jax.sharding.rules import (
    check_matches,
    check_syntax,
    match_rules,
    parameter_path,
    partition_spec,
    paths,
    tree_shardings,
)

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
        ("conv/kernel", (3, 3, 3, 8, 16), P(None, None, None, "fsdp", "tensor")),
        # An axis that does not divide is dropped, for that dimension alone.
        ("conv/kernel", (3, 3, 3, 3, 16), P(None, None, None, None, "tensor")),
        ("blocks/attn1/to_q/kernel", (64, 15), P("fsdp", None)),
        ("kernel", (64,), P("tensor")),
    ],
)
def test_specs_name_the_last_dimensions(path, shape, spec):
    assert partition_spec(path, shape, MESH) == spec


def test_a_state_is_placed_as_its_parameters_are():
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    leaf = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    tree = {"mu": {"params": {"kernel": leaf}}, "count": jax.ShapeDtypeStruct((), jnp.int32)}
    shardings = tree_shardings(tree, mesh)
    assert shardings["mu"]["params"]["kernel"].spec == P("fsdp", "tensor")
    assert shardings["count"].spec == P()


def test_rules_that_say_nothing_are_mistakes():
    with pytest.raises(UserError, match=r"rates: '\(' is not a regular expression"):
        check_syntax(["("], "rates")
    with pytest.raises(UserError, match=r"rates: 'c/.*' matches no parameter"):
        check_matches(["a/.*", "c/.*"], ["a/kernel"], "rates")
