"""Stacks of layers, scanned or written out."""

import jax
import numpy as np
from pipelines import make_small

from mtv_jax.models.registry import make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.ops.stack import stack_params, unstack_params


def test_scanned_parameters_become_those_of_a_written_out_model_and_back():
    model, params = make_small("mtv")
    written_out = unstack_params(params)
    wanted = parameter_shapes(make_model("mtv", model.config, scan_layers=False))
    assert jax.tree.map(np.shape, written_out) == jax.tree.map(lambda leaf: leaf.shape, wanted)
    jax.tree.map(np.testing.assert_array_equal, stack_params(written_out), params)


def test_more_than_ten_layers_keep_their_order():
    params = {"params": {"blocks": {"kernel": np.arange(12.0)}, "norm": {"scale": np.ones(2)}}}
    assert float(unstack_params(params)["params"]["blocks_11"]["kernel"]) == 11
    jax.tree.map(np.testing.assert_array_equal, stack_params(unstack_params(params)), params)
