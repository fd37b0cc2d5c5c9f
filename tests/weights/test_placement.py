"""Parameters straight from their files onto devices."""

import jax
import numpy as np
import pytest

from mtv_jax import load_model
from mtv_jax.weights import placement


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layer_by_layer_gives_the_same_as_at_once(pipeline_folder, monkeypatch, dtype):
    _, whole = load_model(pipeline_folder, param_dtype=dtype)
    monkeypatch.setattr(placement, "_SMALL", 0)
    _, streamed = load_model(pipeline_folder, param_dtype=dtype)
    jax.tree.map(np.testing.assert_array_equal, streamed, whole)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(streamed)} == {dtype}
